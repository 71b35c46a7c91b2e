"""The collections of jobs of replicas that share a store.

Every replica fills a reservoir of its own for each job that collects, and reports in the store how full it is. The one
that carries out the job fetches the reservoirs of the others: rows are written nowhere.
"""

import asyncio
from collections.abc import Container, Mapping
from contextlib import suppress
from time import time

import orjson
import structlog
from pydantic import BaseModel, ConfigDict

from models.datatypes import Array
from models.errors import DengeError
from service.recalibrating.collection import Collection, require_several_clients
from service.recalibrating.collector import RowCollector
from service.recalibrating.job import Job, JobStopped
from service.recalibrating.open_collections import OpenCollections
from service.replicas.membership import MISSED_SECONDS, Membership
from service.replicas.peers import Peers
from service.replicas.store import StoreUnavailable
from service.replicas.values import pack, unpack
from service.wire.recalibration import RecalibrationRequest

log = structlog.get_logger()

SCHEMA = 1
ROWS_PATH = "/v2/replicas/rows/"
"""At which a replica gives its rows to the one that carries out the job, whose id follows."""

_LOOK_SECONDS = 0.5


class CollectPlan(BaseModel, defer_build=True):
    """Which rows a job collects.

    Attributes:
        target: rows to keep, of all replicas together.
        candidates: rows to draw them from, at least.
        per_client: rows of one client to keep, at most.
        ends: when the job gives up, in seconds since 1970.
    """

    model_config = ConfigDict(frozen=True)

    target: int
    candidates: int
    per_client: int
    ends: float


class SharedCollections(OpenCollections):
    """Collects rows for the jobs of all replicas.

    Args:
        membership: of this replica.
        peers: the other replicas.
        collector, max_bytes, has_api_keys: as of `OpenCollections`.

    Attributes:
        plans: of the jobs that collect rows and are not finished, by id. With its plan, another replica can go on with
            a job.
    """

    def __init__(
        self,
        membership: Membership,
        peers: Peers,
        collector: RowCollector,
        max_bytes: int,
        *,
        has_api_keys: bool = False,
    ) -> None:
        super().__init__(collector, max_bytes, has_api_keys=has_api_keys)
        self.plans: dict[str, CollectPlan] = {}
        self._membership = membership
        self._store = membership.store
        self._peers = peers
        self._totals: dict[str, tuple[int, int]] = {}

    def open(self, job: Job, request: RecalibrationRequest) -> None:
        """Open the collection of a job, and plan that of the other replicas."""
        super().open(job, request)
        collection = self._open[job.id]
        self.plans[job.id] = CollectPlan(
            target=collection.target,
            candidates=collection.candidates,
            per_client=collection.per_client,
            ends=time() + request.parameters.timeout_seconds,
        )

    async def wait(self, job: Job, timeout_seconds: float) -> tuple[Mapping[str, Array], int]:
        """The rows of a job once all replicas together have enough."""
        plan, own = self.plans[job.id], self._open[job.id]
        self._collector.targets |= {(own.model, own.version)}
        while True:
            with suppress(StoreUnavailable):
                kept, seen, is_too_large = await self._count(job.id)
                if is_too_large:
                    raise JobStopped("refused", f"{plan.target} rows take more than {self._max_bytes} bytes")
                require_several_clients(kept, seen, plan.target, plan.candidates, plan.per_client)
                if kept >= plan.target and seen >= plan.candidates and (rows := await self._fetch(job, plan)):
                    return rows, seen
            if time() >= plan.ends:
                kept = min(self._totals.get(job.id, (0, 0))[0], plan.target)
                raise JobStopped("refused", f"{kept} of {plan.target} rows came in {timeout_seconds:g} seconds")
            await asyncio.sleep(min(_LOOK_SECONDS, max(plan.ends - time(), 0)))

    def count(self, job: Job) -> tuple[int, int] | None:
        """Rows that all replicas keep for a job, and those they were drawn from; None if it does not collect now."""
        if job.state != "collecting":
            return None
        kept, seen = self._totals.get(job.id, (0, 0))
        return min(kept, job.target_rows), seen

    def sample(self, job_id: str) -> bytes:
        """Returns the rows that this replica has collected for a job."""
        collection = self._open.get(job_id)
        return super().sample(job_id) if collection is None else collection.to_bytes()

    async def follow(self, jobs: Mapping[str, Job], own: Container[str]) -> None:
        """Fill a reservoir for each job that collects, report how full it is, and drop those of finished jobs.

        Args:
            jobs: of all replicas, by id.
            own: ids of those that this replica carries out, which counts their rows in `wait`.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        for job_id, plan in list(self.plans.items()):
            job = jobs.get(job_id)
            if job is None or job.is_finished:
                del self.plans[job_id]
                self._open.pop(job_id, None)
                self._totals.pop(job_id, None)
            elif job_id not in self._open:
                self._open[job_id] = self._new_collection(job, plan)
        self._open = {job_id: collection for job_id, collection in self._open.items() if job_id in jobs}
        self._set_targets({job_id: one for job_id, one in self._open.items() if jobs[job_id].state == "collecting"})
        for job_id, collection in list(self._open.items()):  # others may be opened meanwhile
            report = orjson.dumps([collection.kept, collection.seen, collection.is_too_large])
            await self._store.put(f"collected/{job_id}/{self._membership.id}", pack(SCHEMA, report), MISSED_SECONDS)
            if job_id not in own:
                await self._count(job_id)

    def _new_collection(self, job: Job, plan: CollectPlan) -> Collection:
        return Collection(
            job.model,
            job.collected_version,
            target=plan.target,
            candidates=plan.candidates,
            per_client=plan.per_client,
            max_bytes=self._max_bytes,
        )

    async def _count(self, job_id: str) -> tuple[int, int, bool]:
        """Rows that all replicas keep for a job, rows that they were drawn from, and whether they are too large."""
        reports = await self._membership.observe(self._store.get_many(f"collected/{job_id}/"))
        found = {
            key.rpartition("/")[2]: orjson.loads(unpack(SCHEMA, value) or b"[0, 0, false]")
            for key, value in reports.items()
        }
        own = self._open[job_id]
        found[self._membership.id] = [own.kept, own.seen, own.is_too_large]
        kept, seen, is_too_large = zip(*found.values(), strict=True)
        self._totals[job_id] = sum(kept), sum(seen)
        return *self._totals[job_id], any(is_too_large)

    async def _fetch(self, job: Job, plan: CollectPlan) -> Mapping[str, Array] | None:
        """Returns one sample of what all replicas have collected; None where one that has died leaves too few rows."""
        merged = self._new_collection(job, plan)
        merged.merge(self._open[job.id].to_bytes())
        for member in await self._membership.members():
            if member.id != self._membership.id:
                try:
                    merged.merge(await self._peers.get(member, ROWS_PATH + job.id))
                except StoreUnavailable:
                    raise
                except (DengeError, ValueError) as error:
                    log.warning("rows_not_fetched", job=job.id, replica=member.id, reason=str(error))
        return merged.rows if merged.kept >= plan.target else None
