"""All jobs that make a version from rows, re-calibrations and references: started, followed, cancelled, remembered.

The rows of a job are sent or collected, and stay in memory. A process of its own does the work, one job at a time.
Every change of a job is recorded on disk, without rows: a service that starts again reports the jobs that it has lost.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from models.datatypes import Array
from models.errors import DengeError, InvalidInput, Overloaded
from models.rows import count_rows
from service.catalog.catalog import Catalog
from service.catalog.served_version import ServedVersion
from service.host.blocking_pool import BlockingPool
from service.recalibrating import launcher
from service.recalibrating.job import Job, JobNotFound, JobStopped, died
from service.recalibrating.messages import Order, OrderWithRows, Progress
from service.recalibrating.open_collections import OpenCollections
from service.recalibrating.records import JobRecords
from service.replicas.agreement import Agreement
from service.replicas.store import StoreUnavailable
from service.wire.recalibration import JobKind, RecalibrationRequest

log = structlog.get_logger()

MAX_OPEN_JOBS = 4
"""Jobs that are not finished: the rows of each are in memory."""
MAX_RECORDS = 100
"""Jobs that are remembered."""
DISK_SECONDS = 60.0
"""How long a job waits for its record to be written, or its new version to be loaded."""

BY_CLIENT, BY_SHUTDOWN = "a client has cancelled the job", "the service ended"
"""Why a job's task is cancelled."""


class Recalibrations:
    """Runs jobs on one event loop.

    Args:
        catalog: the models, and the repository where new versions are published.
        state_folder: where the records are stored.
        collections: collects rows of the traffic for jobs.
        command: starts the process of a job.
        trust: called with a model and its new version, which the process has run: it needs no trial.
        agreement: has all replicas serve a new version; None where this process decides alone.
    """

    def __init__(
        self,
        catalog: Catalog,
        state_folder: Path,
        collections: OpenCollections,
        *,
        command: Sequence[str] = launcher.COMMAND,
        trust: Callable[[str, int], None] = lambda _model, _version: None,
        agreement: Agreement | None = None,
    ) -> None:
        self._catalog = catalog
        self._records = JobRecords(state_folder / "recalibrations")
        self._command = command
        self._trust = trust
        self._jobs: dict[str, Job] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._collections = collections
        self._one_at_a_time = asyncio.Lock()
        self._disk = BlockingPool("recalibration", 2, DISK_SECONDS)
        self._changes = agreement or self._disk

    async def open(self) -> None:
        """Read the records. Jobs that were not finished are lost."""
        for job in await self._disk.run("read the re-calibrations", self._records.read_all):
            self._jobs[job.id] = job
        for job in list(self._jobs.values()):
            if not job.is_finished:
                reason = f"the service ended while it was {job.state}; its rows were in memory only"
                await self._update(job.id, state="lost", reason=reason)

    async def close(self) -> None:
        """End all open jobs: they are lost."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel(BY_SHUTDOWN)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def refresh(self) -> None:
        """Read what other replicas have changed. This process changes all jobs itself."""

    def sample(self, job_id: str) -> bytes:
        """Returns the rows that this replica has collected for a job of another one.

        Raises:
            NotFound: it collects none.
        """
        return self._collections.sample(job_id)

    def jobs_of(self, model: str, kind: JobKind = "recalibration") -> list[Job]:
        """All jobs of a kind and model, latest first."""
        jobs = reversed(self._jobs.values())
        return [self._current(job) for job in jobs if (job.model, job.kind) == (model, kind)]

    def get(self, model: str, job_id: str, kind: JobKind = "recalibration") -> Job:
        """One job of a kind.

        Raises:
            JobNotFound: the model has no such job.
        """
        job = self._jobs.get(job_id)
        if job is None or (job.model, job.kind) != (model, kind):
            raise JobNotFound(model, kind, job_id)
        return self._current(job)

    async def wait(self, model: str, job_id: str, timeout_seconds: float, kind: JobKind = "recalibration") -> Job:
        """One job when it is finished, or as it is when the time is up.

        Raises:
            JobNotFound: the model has no such job.
        """
        job = self.get(model, job_id, kind)
        if task := self._tasks.get(job_id):
            await asyncio.wait([task], timeout=timeout_seconds)
            job = self.get(model, job_id, kind)
        return job

    async def start(self, served: ServedVersion, request: RecalibrationRequest) -> Job:
        """Start a job.

        Args:
            served: the version to start from.
            request: the rows, or how many to collect.

        Raises:
            InvalidInput: another job collects rows of this version.
            Overloaded: `MAX_OPEN_JOBS` are open.
        """
        if len(self._tasks) >= MAX_OPEN_JOBS:
            raise Overloaded(f"{MAX_OPEN_JOBS} jobs are open already")
        job = Job.new(served.model, served.version, request)
        if request.rows is None:
            self._collections.open(job, request)
        self._jobs[job.id] = job
        self._start_task(job.id, request.rows, request.labels, request.parameters.timeout_seconds)
        await self._update(job.id)
        await self._delete_oldest()
        return job

    async def cancel(self, model: str, job_id: str, kind: JobKind = "recalibration") -> Job:
        """Cancel a job. What its process has published stays.

        Raises:
            JobNotFound: the model has no such job.
            InvalidInput: it is finished.
        """
        job = self.get(model, job_id, kind)
        if job.is_finished:
            raise InvalidInput(f"this job is {job.state} already", "id")
        if task := self._tasks.get(job_id):  # there is none while another replica takes the job over
            task.cancel(BY_CLIENT)
            await asyncio.wait([task])
            if task.cancelled():  # before it began
                await self._note_cancelled(job_id, BY_CLIENT)
        return self._jobs[job_id]

    def _start_task(
        self, job_id: str, rows: Mapping[str, Array] | None, labels: Array | None, timeout_seconds: float
    ) -> None:
        self._tasks[job_id] = asyncio.create_task(
            self._run(job_id, rows, labels, timeout_seconds), name=f"job {job_id}"
        )
        self._tasks[job_id].add_done_callback(lambda _: self._tasks.pop(job_id))

    def _current(self, job: Job) -> Job:
        count = self._collections.count(job)
        return job if count is None else job.model_copy(update={"rows": count[0], "seen": count[1]})

    async def _run(
        self, job_id: str, rows: Mapping[str, Array] | None, labels: Array | None, timeout_seconds: float
    ) -> None:
        """Carry out a job. However it ends, its record says so."""
        try:
            if rows is None:
                rows = await self._collect(job_id, timeout_seconds)
            async with self._one_at_a_time:
                await self._work(job_id, rows, labels)
        except JobStopped as stopped:
            await self._update(job_id, state=stopped.state, reason=str(stopped))
        except asyncio.CancelledError as error:
            await self._note_cancelled(job_id, error.args[0] if error.args else None)
        except Exception as error:
            log.error("recalibration_failed", job=job_id, exc_info=error)
            await self._update(job_id, state="failed", reason="internal error; the service's log has the details")

    async def _note_cancelled(self, job_id: str, reason: object) -> None:
        state, why = ("cancelled", None) if reason == BY_CLIENT else ("lost", BY_SHUTDOWN)
        await self._update(job_id, state=state, reason=why)

    async def _collect(self, job_id: str, timeout_seconds: float) -> Mapping[str, Array]:
        rows, seen = await self._collections.wait(self._jobs[job_id], timeout_seconds)
        await self._update(job_id, state="waiting", rows=count_rows(rows), seen=seen)
        return rows

    async def _work(self, job_id: str, rows: Mapping[str, Array], labels: Array | None) -> None:
        """Estimate, check and publish in a process of its own.

        Raises:
            JobStopped: the process ended, or was killed, before the job was finished.
        """
        job = self._jobs[job_id]

        async def apply(progress: Progress) -> None:
            if progress.published is not None:
                # A client that sees the version finds it loaded. A failure is logged by the catalog.
                with suppress(DengeError):
                    await self._changes.run(f"load model '{job.model}'", self._serve, job.model, progress.published)
            await self._update(job_id, **progress.changes())

        order = Order.of(job, self._catalog.repository.location)
        code = await launcher.run_within_time(self._command, OrderWithRows(order, dict(rows), labels), apply)
        job = self._jobs[job_id]
        if not job.is_finished:
            raise died(job.state, code)
        log.info("recalibration_finished", job=job_id, state=job.state, published=job.published)

    def _serve(self, model: str, version: int) -> None:
        self._trust(model, version)
        self._catalog.refresh(model)

    async def _update(self, job_id: str, **changes: Any) -> None:
        """Change a job, in memory and on disk."""
        job = self._jobs[job_id].model_copy(update={**changes, "updated_at": datetime.now(UTC)})
        self._jobs[job_id] = job
        with suppress(StoreUnavailable):
            await self._write(job)

    async def _write(self, job: Job) -> None:
        try:
            await self._disk.run("write the record", self._records.write, job)
        except DengeError as error:
            log.error("recalibration_not_recorded", job=job.id, error=str(error))

    async def _delete(self, job_id: str) -> None:
        with suppress(DengeError):
            await self._disk.run("delete a record", self._records.delete, job_id)

    async def _delete_oldest(self) -> None:
        """Delete finished jobs beyond `MAX_RECORDS`, oldest first."""
        finished = [job.id for job in self._jobs.values() if job.is_finished]
        for job_id in finished[: max(len(self._jobs) - MAX_RECORDS, 0)]:
            del self._jobs[job_id]
            await self._delete(job_id)
