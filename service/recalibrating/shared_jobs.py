"""Jobs of replicas that share a store.

The record of a job is in the store. The replica that has the job's lease carries it out. While the record asks for
rows, every replica fills a reservoir of its own. The holder fetches these from the replicas: rows are written nowhere.
When the holder dies, another replica goes on with a job that collects; rows that were sent are lost with it.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from time import time
from typing import Any

import orjson
import structlog
from pydantic import BaseModel, ConfigDict

from models.datatypes import Array
from models.errors import DengeError, InvalidInput
from service.recalibrating.collection import Collection, require_several_clients
from service.recalibrating.job import Job, JobStopped
from service.recalibrating.jobs import BY_CLIENT, ROWS_PATH, Recalibrations
from service.replicas.membership import MISSED_SECONDS, Membership
from service.replicas.peers import Peers
from service.replicas.store import StoreUnavailable
from service.replicas.values import StoredModel, pack, unpack
from service.wire.recalibration import JobKind, RecalibrationRequest

log = structlog.get_logger()

SCHEMA = 1
LEASE_SECONDS = 20.0
"""After the death of the replica that carries out a job, another one does."""
HELD_SECONDS = 15.0
"""A replica that cannot renew a job's lease for so long leaves the job, before another one can take it over."""
KEPT_SECONDS = 90 * 86_400.0
"""How long records stay."""

_TOPIC = "jobs"
_LOOK_SECONDS = 0.5
_CANCEL_SECONDS = 15.0
_ELSEWHERE = "another replica has the job's lease"


class CollectPlan(BaseModel):
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


class JobRecord(StoredModel):
    """A job in the store, and what another replica needs to go on with it."""

    job: Job
    plan: CollectPlan | None


class SharedRecalibrations(Recalibrations):
    """Runs the jobs that this replica has leases of, and shows those of all.

    Args:
        membership: of this replica.
        peers: the other replicas.
        args, options: of `Recalibrations`.
    """

    def __init__(self, membership: Membership, peers: Peers, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._membership = membership
        self._store = membership.store
        self._peers = peers
        self._plans: dict[str, CollectPlan] = {}
        self._totals: dict[str, tuple[int, int]] = {}
        self._unwritten: set[str] = set()
        self._expiries: dict[str, asyncio.TimerHandle] = {}
        membership.watch(_TOPIC, self.exchange)

    async def open(self) -> None:
        """Read the records. Jobs without a holder are taken over by `exchange`."""
        with suppress(StoreUnavailable):
            await self.refresh()

    async def refresh(self) -> None:
        """Read the jobs of the other replicas.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        values = await self._membership.observe(self._store.get_many("job/"))
        records = [record for value in values.values() if (record := JobRecord.from_value(value)) is not None]
        found = {record.job.id: record for record in records}
        own = {job_id: self._jobs[job_id] for job_id in self._jobs.keys() & (self._tasks.keys() | self._unwritten)}
        self._plans |= {job_id: record.plan for job_id, record in found.items() if record.plan is not None}
        jobs = {job_id: record.job for job_id, record in found.items()} | own
        self._jobs = dict(sorted(jobs.items(), key=lambda item: item[1].created_at))

    async def exchange(self) -> None:
        """Follow the jobs of all replicas: collect rows for them, renew leases, take over, cancel.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        for job_id in list(self._unwritten):
            await self._write(self._jobs[job_id])
        await self.refresh()
        await self._follow_collections()
        cancelled = await self._store.get_many("cancel/")
        for job_id, job in list(self._jobs.items()):
            if job.is_finished:
                continue
            is_own = job_id in self._tasks
            has_lease = await self._lease(job_id)
            if has_lease and not is_own:
                await self._take_over(job)
            elif is_own and (not has_lease or f"cancel/{job_id}" in cancelled):
                self._tasks[job_id].cancel(BY_CLIENT if has_lease else _ELSEWHERE)

    async def cancel(self, model: str, job_id: str, kind: JobKind = "recalibration") -> Job:
        """Cancel a job, whichever replica carries it out. What its process has published stays."""
        job = self.get(model, job_id, kind)
        if job.is_finished or job_id in self._tasks:
            return await super().cancel(model, job_id, kind)
        await self._membership.observe(self._store.put(f"cancel/{job_id}", b"", KEPT_SECONDS))
        await self._membership.announce(_TOPIC)
        cancelled = await self.wait(model, job_id, _CANCEL_SECONDS, kind)
        if not cancelled.is_finished:
            raise InvalidInput("the replica that carries out this job has not stopped it yet", "id")
        return cancelled

    async def wait(self, model: str, job_id: str, timeout_seconds: float, kind: JobKind = "recalibration") -> Job:
        """One job when it is finished, or as it is when the time is up."""
        if job_id in self._tasks:
            return await super().wait(model, job_id, timeout_seconds, kind)
        loop = asyncio.get_running_loop()
        ends = loop.time() + timeout_seconds
        while not (job := self.get(model, job_id, kind)).is_finished and (left := ends - loop.time()) > 0:
            await self._membership.wait_for_change(min(left, _LOOK_SECONDS))
            await self.refresh()
        return job

    def sample(self, job_id: str) -> bytes:
        """Returns the rows that this replica has collected for a job."""
        collection = self._collections.get(job_id)
        return super().sample(job_id) if collection is None else collection.to_bytes()

    def _current(self, job: Job) -> Job:
        if job.state != "collecting":
            return job
        kept, seen = self._totals.get(job.id, (0, 0))
        return job.model_copy(update={"rows": min(kept, job.target_rows), "seen": seen})

    async def _write(self, job: Job) -> None:
        record = JobRecord(job=job, plan=self._plans.get(job.id))
        self._unwritten.add(job.id)
        if not job.is_finished:
            await self._lease(job.id)
        await self._membership.observe(self._store.put(f"job/{job.id}", record.to_value(), KEPT_SECONDS))
        self._unwritten.discard(job.id)
        await self._membership.announce(_TOPIC)

    async def _lease(self, job_id: str) -> bool:
        """Take or renew the lease of a job. Returns whether this replica has it."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + HELD_SECONDS  # the store counts from when it is asked, or later
        lease = self._store.lease(f"job/{job_id}", self._membership.id, LEASE_SECONDS)
        if has_lease := bool(await self._membership.observe(lease)):
            if (expiry := self._expiries.get(job_id)) is not None:
                expiry.cancel()
            self._expiries[job_id] = loop.call_at(ends, self._leave, job_id)
        return has_lease

    def _leave(self, job_id: str) -> None:
        """Stop carrying out a job whose lease has not been renewed, unless its rows are here only."""
        del self._expiries[job_id]
        if job_id in self._tasks and job_id in self._plans:
            log.warning("recalibration_left", job=job_id, reason="its lease could not be renewed")
            self._tasks[job_id].cancel(_ELSEWHERE)

    async def _delete(self, job_id: str) -> None:
        with suppress(StoreUnavailable):
            await self._store.delete(f"job/{job_id}")

    async def _collect(self, job_id: str, timeout_seconds: float) -> Mapping[str, Array]:
        plan = self._plans[job_id]
        self._set_collect_targets()
        while True:
            with suppress(StoreUnavailable):
                kept, seen, is_too_large = await self._count(job_id)
                if is_too_large:
                    raise JobStopped("refused", f"{plan.target} rows take more than {self._max_bytes} bytes")
                require_several_clients(kept, seen, plan.target, plan.candidates, plan.per_client)
                if kept >= plan.target and seen >= plan.candidates and (rows := await self._fetch(job_id, plan)):
                    await self._update(job_id, state="waiting", rows=len(next(iter(rows.values()))), seen=seen)
                    return rows
            if time() >= plan.ends:
                kept = min(self._totals.get(job_id, (0, 0))[0], plan.target)
                raise JobStopped("refused", f"{kept} of {plan.target} rows came in {timeout_seconds:g} seconds")
            await asyncio.sleep(min(_LOOK_SECONDS, max(plan.ends - time(), 0)))

    def _set_collect_targets(self) -> None:
        collecting = [job_id for job_id in self._collections if self._jobs[job_id].state == "collecting"]
        versions = {(self._collections[job_id].model, self._collections[job_id].version) for job_id in collecting}
        self._collector.targets = frozenset(versions)

    def _open_collection(self, job: Job, request: RecalibrationRequest) -> Collection:
        collection = super()._open_collection(job, request)
        self._plans[job.id] = CollectPlan(
            target=collection.target,
            candidates=collection.candidates,
            per_client=collection.per_client,
            ends=time() + request.parameters.timeout_seconds,
        )
        return collection

    async def _note_cancelled(self, job_id: str, reason: object) -> None:
        if reason == BY_CLIENT or (reason != _ELSEWHERE and job_id not in self._plans):
            await super()._note_cancelled(job_id, reason)
        elif reason != _ELSEWHERE:  # this replica ends: another one, or the next, goes on
            with suppress(StoreUnavailable):
                await self._store.release(f"job/{job_id}", self._membership.id)

    async def _follow_collections(self) -> None:
        """Fill a reservoir for each job that collects, say how full it is, and drop those of finished jobs."""
        before = {(job_id, self._jobs[job_id].state) for job_id in self._collections if job_id in self._jobs}
        for job_id, plan in list(self._plans.items()):
            job = self._jobs.get(job_id)
            if job is None or job.is_finished:
                del self._plans[job_id]
                self._collections.pop(job_id, None)
                self._totals.pop(job_id, None)
            elif job_id not in self._collections:
                self._collections[job_id] = self._new_collection(job, plan)
        for job_id in [job_id for job_id in self._collections if job_id not in self._jobs]:
            del self._collections[job_id]
        if before != {(job_id, self._jobs[job_id].state) for job_id in self._collections}:
            self._set_collect_targets()
        for job_id, collection in self._collections.items():
            report = orjson.dumps([collection.kept, collection.seen, collection.is_too_large])
            await self._store.put(f"collected/{job_id}/{self._membership.id}", pack(SCHEMA, report), MISSED_SECONDS)
            if job_id not in self._tasks:
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
        own = self._collections[job_id]
        found[self._membership.id] = [own.kept, own.seen, own.is_too_large]
        kept, seen, is_too_large = zip(*found.values(), strict=True)
        self._totals[job_id] = sum(kept), sum(seen)
        return *self._totals[job_id], any(is_too_large)

    async def _fetch(self, job_id: str, plan: CollectPlan) -> Mapping[str, Array] | None:
        """Returns one sample of what all replicas have collected; None where one that has died leaves too few rows."""
        merged = self._new_collection(self._jobs[job_id], plan)
        merged.merge(self._collections[job_id].to_bytes())
        for member in await self._membership.members():
            if member.id != self._membership.id:
                try:
                    merged.merge(await self._peers.get(member, ROWS_PATH + job_id))
                except StoreUnavailable:
                    raise
                except (DengeError, ValueError) as error:
                    log.warning("rows_not_fetched", job=job_id, replica=member.id, reason=str(error))
        return merged.rows if merged.kept >= plan.target else None

    async def _take_over(self, job: Job) -> None:
        plan = self._plans.get(job.id)
        if plan is None:
            reason = f"its replica ended while it was {job.state}; its rows were in memory only"
            await self._update(job.id, state="lost", reason=reason)
            return
        log.warning("recalibration_taken_over", job=job.id, state=job.state)
        await self._update(job.id, state="collecting")
        self._start_task(job.id, None, None, max(plan.ends - time(), 0.0))
