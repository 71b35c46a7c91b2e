"""Jobs of replicas that share a store.

The record of a job is in the store. The replica that has the job's lease carries it out. When it dies, another one goes
on with a job that collects its rows; rows that were sent are lost with it.
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from time import time
from typing import Any

import structlog

from models.errors import InvalidInput
from service.catalog.catalog import Catalog
from service.recalibrating.job import Job
from service.recalibrating.job_leases import JobLeases
from service.recalibrating.jobs import BY_CLIENT, Recalibrations
from service.recalibrating.shared_collections import CollectPlan, SharedCollections
from service.replicas.membership import Membership
from service.replicas.store import StoreUnavailable
from service.replicas.values import StoredModel
from service.wire.recalibration import JobKind

log = structlog.get_logger()

KEPT_SECONDS = 90 * 86_400.0
"""How long records stay."""

_TOPIC = "jobs"
_LOOK_SECONDS = 0.5
_CANCEL_SECONDS = 15.0
_ELSEWHERE = "another replica has the job's lease"


class JobRecord(StoredModel):
    """A job in the store, and what another replica needs to go on with it."""

    job: Job
    plan: CollectPlan | None


class SharedRecalibrations(Recalibrations):
    """Runs the jobs that this replica has leases of, and shows those of all.

    Args:
        membership: of this replica.
        catalog, state_folder, options: as of `Recalibrations`.
        collections: collects rows of the traffic for the jobs of all replicas.
    """

    def __init__(
        self,
        membership: Membership,
        catalog: Catalog,
        state_folder: Path,
        collections: SharedCollections,
        **options: Any,
    ) -> None:
        super().__init__(catalog, state_folder, collections, **options)
        self._membership = membership
        self._store = membership.store
        self._plans = collections.plans
        self._follow_collections = collections.follow
        self._leases = JobLeases(membership, self._leave)
        self._unwritten: set[str] = set()
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
        await self._follow_collections(self._jobs, self._tasks)
        cancelled = await self._store.get_many("cancel/")
        for job_id, job in list(self._jobs.items()):
            if job.is_finished:
                continue
            is_own = job_id in self._tasks
            has_lease = await self._leases.take(job_id)
            if has_lease and not is_own:
                await self._take_over(job)
            elif (task := self._tasks.get(job_id)) and (not has_lease or f"cancel/{job_id}" in cancelled):
                task.cancel(BY_CLIENT if has_lease else _ELSEWHERE)

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

    async def _write(self, job: Job) -> None:
        record = JobRecord(job=job, plan=self._plans.get(job.id))
        self._unwritten.add(job.id)
        if not job.is_finished:
            await self._leases.take(job.id)
        await self._membership.observe(self._store.put(f"job/{job.id}", record.to_value(), KEPT_SECONDS))
        self._unwritten.discard(job.id)
        await self._membership.announce(_TOPIC)

    def _leave(self, job_id: str) -> None:
        """Stop carrying out a job whose lease has not been renewed, unless its rows are here only."""
        if job_id in self._tasks and job_id in self._plans:
            log.warning("recalibration_left", job=job_id, reason="its lease could not be renewed")
            self._tasks[job_id].cancel(_ELSEWHERE)

    async def _delete(self, job_id: str) -> None:
        with suppress(StoreUnavailable):
            await self._store.delete(f"job/{job_id}")

    async def _note_cancelled(self, job_id: str, reason: object) -> None:
        if reason == BY_CLIENT or (reason != _ELSEWHERE and job_id not in self._plans):
            await super()._note_cancelled(job_id, reason)
        elif reason != _ELSEWHERE:  # this replica ends: another one, or the next, goes on
            with suppress(StoreUnavailable):
                await self._leases.release(job_id)

    async def _take_over(self, job: Job) -> None:
        plan = self._plans.get(job.id)
        if plan is None:
            reason = f"its replica ended while it was {job.state}; its rows were in memory only"
            await self._update(job.id, state="lost", reason=reason)
            return
        log.warning("recalibration_taken_over", job=job.id, state=job.state)
        await self._update(job.id, state="collecting")
        self._start_task(job.id, None, None, max(plan.ends - time(), 0.0))
