"""Re-calibrations as jobs: rows are collected or sent, another process does the work, and what came of it is kept.

Rows are in memory only. Of each job a record is kept in the state folder, without rows, so that a service which starts
again can say what became of those that it left behind: they are lost.
"""

import asyncio
import secrets
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
import structlog
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import DengeError, InvalidInput, NotFound, Overloaded
from models.manifest import Gate
from service.catalog.catalog import Catalog
from service.catalog.served_version import ServedVersion
from service.recalibrating.collector import CollectedRows, Collectors
from service.recalibrating.reservoir import Reservoir
from service.wire import arrays
from service.wire.recalibration import LABELS, RecalibrationRequest, joined, rows_in

Array = NDArray[Any]
Row = dict[str, Array]

log = structlog.get_logger()

State = Literal[
    "collecting",
    "waiting",
    "estimating",
    "folding",
    "checking",
    "publishing",
    "published",
    "refused",
    "cancelled",
    "failed",
    "lost",
]
OVER: frozenset[State] = frozenset({"published", "refused", "cancelled", "failed", "lost"})

MAX_OPEN = 4
"""Jobs that are not over: the rows of each are in memory."""
MAX_KEPT = 100
"""Records of jobs."""
MAX_SECONDS = 900.0
"""A job that works for longer is ended."""

COMMAND = (sys.executable, "-m", "service.recalibrating.process")


class Job(BaseModel):
    """A re-calibration, and how far it is."""

    model_config = ConfigDict(frozen=True)

    id: str
    model: str
    version: int = Field(description="the version to start from")
    state: State
    reason: str | None = Field(None, description="why it was refused or failed")
    rows: int = Field(description="rows that are there")
    wanted: int = Field(description="rows that there will be")
    seen: int = Field(0, description="rows of the traffic that they were drawn from")
    labelled: bool = False
    prior: float | None = Field(None, description="rows that the parent's statistics count for; null until it is known")
    force: bool = Field(description="publish although a gate does not pass")
    gates: tuple[Gate, ...] = Field((), description="figures and bounds, as soon as they are known")
    published: int | None = Field(None, description="the new version")
    created_at: datetime
    updated_at: datetime

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in OVER


class JobNotFound(NotFound):
    """No re-calibration of this model has this id."""

    def __init__(self, model: str, job: str) -> None:
        super().__init__(f"model '{model}' has no re-calibration '{job}'")


class Recalibrations:
    """All jobs of a service, on one event loop.

    Args:
        catalog: the models, and where they are published.
        state_folder: where the records are kept.
        max_bytes: of the rows that one job collects.
        collectors: pass rows of the traffic on.
        known_callers: whether callers are known by their keys.
        command: does the work.
    """

    def __init__(
        self,
        catalog: Catalog,
        state_folder: Path,
        max_bytes: int,
        collectors: Collectors,
        *,
        known_callers: bool = False,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._catalog = catalog
        self._folder = state_folder / "recalibrations"
        self._max_bytes = max_bytes
        self._collectors = collectors
        collectors.on_rows(self._show)
        self._known_callers = known_callers
        self._command = command
        self._jobs: dict[str, Job] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._collecting: dict[str, _Collection] = {}
        self._turn = asyncio.Lock()
        """One works at a time."""

    async def open(self) -> None:
        """Read the records. Jobs that were not over are lost."""
        for job in await asyncio.to_thread(_read_all, self._folder):
            self._jobs[job.id] = job
        for job in list(self._jobs.values()):
            if not job.over:
                reason = f"the service ended while it was {job.state}; its rows were in memory only"
                await self._update(job.id, state="lost", reason=reason)

    async def close(self) -> None:
        """End what is running. The records say so at the next start."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel("closing")
        await asyncio.gather(*tasks, return_exceptions=True)

    def of(self, model: str) -> list[Job]:
        """All jobs of a model, the latest first."""
        return [self._now(job) for job in reversed(self._jobs.values()) if job.model == model]

    def get(self, model: str, identity: str) -> Job:
        """One job.

        Raises:
            JobNotFound: there is none.
        """
        job = self._jobs.get(identity)
        if job is None or job.model != model:
            raise JobNotFound(model, identity)
        return self._now(job)

    async def outcome(self, model: str, identity: str, patience: float) -> Job:
        """One job when it is over, or when the patience is.

        Args:
            model, identity: which.
            patience: seconds.

        Raises:
            JobNotFound: there is none.
        """
        job = self.get(model, identity)
        if task := self._running.get(identity):
            await asyncio.wait([task], timeout=patience)
            job = self.get(model, identity)
        return job

    async def start(self, served: ServedVersion, asked: RecalibrationRequest) -> Job:
        """Begin a job.

        Args:
            served: the version to start from.
            asked: rows or how to get them.

        Raises:
            InvalidInput: so many rows would take too much memory, or rows of this version are collected already.
            Overloaded: enough jobs are open.
        """
        if len(self._running) >= MAX_OPEN:
            raise Overloaded(f"{MAX_OPEN} re-calibrations are open already")
        collection = None
        if asked.rows is None:
            collection = self._begin_collecting(served, asked)
        now = datetime.now(UTC)
        rows = 0 if asked.rows is None else rows_in(asked.rows)
        job = Job(
            id=secrets.token_hex(8),
            model=served.model,
            version=served.version,
            state="waiting" if collection is None else "collecting",
            rows=rows,
            wanted=asked.collect or rows,
            labelled=asked.labels is not None,
            prior=asked.parameters.prior,
            force=asked.parameters.force,
            created_at=now,
            updated_at=now,
        )
        self._jobs[job.id] = job
        if collection is not None:
            self._collecting[job.id] = collection
        self._running[job.id] = asyncio.create_task(self._run(job.id, asked, collection))
        self._running[job.id].add_done_callback(lambda _: self._running.pop(job.id))
        await self._update(job.id)
        await self._forget_the_oldest()
        return job

    async def cancel(self, model: str, identity: str) -> Job:
        """End a job.

        Raises:
            JobNotFound: there is none.
            InvalidInput: it is over, or publishing already.
        """
        job = self.get(model, identity)
        if job.over or job.state == "publishing":
            raise InvalidInput(f"it is too late: it is {job.state}", "id")
        task = self._running[identity]
        task.cancel("cancelled")
        await asyncio.wait([task])
        return self._jobs[identity]

    def _now(self, job: Job) -> Job:
        collection = self._collecting.get(job.id)
        if collection is None:
            return job
        return job.model_copy(update={"rows": len(collection.reservoir), "seen": collection.reservoir.seen})

    def _show(self, rows: CollectedRows) -> None:
        for collection in self._collecting.values():
            if (rows.model, rows.version) == (collection.model, collection.version):
                collection.show(rows)

    def _begin_collecting(self, served: ServedVersion, asked: RecalibrationRequest) -> "_Collection":
        for collection in self._collecting.values():
            if (served.model, served.version) == (collection.model, collection.version):
                raise InvalidInput("rows of this version are being collected already", "collect")
        share = asked.parameters.max_share or (0.5 if self._known_callers else 1.0)
        reservoir: Reservoir[Row] = Reservoir(asked.collect, max(int(share * asked.collect), 1))
        return _Collection(
            served.model,
            served.version,
            reservoir,
            asked.collect,
            asked.collect * asked.parameters.spread,
            self._max_bytes,
        )

    async def _run(self, identity: str, asked: RecalibrationRequest, collection: "_Collection | None") -> None:
        """See a job through. Whatever happens, its record says so."""
        try:
            rows = asked.rows
            if rows is None:
                assert collection is not None  # noqa: S101
                rows = await self._collect(identity, collection, asked.parameters.patience_seconds)
                await self._update(identity, state="waiting", rows=rows_in(rows), seen=collection.reservoir.seen)
            async with self._turn:
                await self._work(identity, rows, asked.labels)
        except _Ended as ended:
            await self._update(identity, state=ended.state, reason=str(ended))
        except asyncio.CancelledError as error:
            state = "cancelled" if error.args == ("cancelled",) else "lost"
            reason = None if state == "cancelled" else "the service ended"
            await self._update(identity, state=state, reason=reason)
        except Exception as error:
            log.error("recalibration_failed", job=identity, exc_info=error)
            await self._update(identity, state="failed", reason="internal error; the service's log has the details")

    async def _collect(self, identity: str, collection: "_Collection", patience: float) -> dict[str, Array]:
        try:
            await self._say_what_is_wanted()
            async with asyncio.timeout(patience):
                await collection.complete.wait()
        except TimeoutError:
            count = len(collection.reservoir)
            raise _Ended("refused", f"{count} of {collection.wanted} rows came in {patience:g} seconds") from None
        finally:
            del self._collecting[identity]
            await self._say_what_is_wanted()
        if collection.too_large:
            raise _Ended("refused", f"{collection.wanted} rows take more than {self._max_bytes} bytes")
        return joined(collection.reservoir.rows)

    async def _say_what_is_wanted(self) -> None:
        await self._collectors.set_targets(
            frozenset((open_.model, open_.version) for open_ in self._collecting.values())
        )

    async def _work(self, identity: str, rows: Mapping[str, Array], labels: Array | None) -> None:
        job = self._jobs[identity]
        order = {
            "repository": str(self._catalog.repository.root.resolve()),
            "model": job.model,
            "version": job.version,
            "prior": job.prior,
            "force": job.force,
            "labels": None if labels is None else LABELS,
        }
        payload = arrays.write(order, {**rows, **({} if labels is None else {LABELS: labels})})
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(MAX_SECONDS):
                await self._follow(identity, process, payload)
        except TimeoutError:
            raise _Ended("failed", f"it took more than {MAX_SECONDS:g} seconds") from None
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            code = await process.wait()
        job = self._jobs[identity]
        if not job.over:
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            doubt = "; whether a version was published, the repository says" if job.state == "publishing" else ""
            raise _Ended("failed", f"its process ended {how} while it was {job.state}{doubt}")
        log.info("recalibration", job=identity, state=job.state, published=job.published)

    async def _follow(self, identity: str, process: asyncio.subprocess.Process, payload: bytes) -> None:
        """Hand the rows over, and note what the process says until it says no more."""
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        with suppress(ConnectionError):  # it has ended, which shows below
            process.stdin.write(payload)
            await process.stdin.drain()
        while line := await process.stdout.readline():
            said = orjson.loads(line)
            if said.get("published") is not None:
                # Who is told of a version finds it loaded. Where it cannot be, the catalog has said so.
                with suppress(DengeError):
                    await asyncio.to_thread(self._catalog.load, self._jobs[identity].model)
            await self._update(identity, **said)
        await process.wait()

    async def _update(self, identity: str, **changes: Any) -> None:
        """Change a job's record, in memory and on disk."""
        known = self._jobs[identity].model_dump()
        job = Job.model_validate({**known, **changes, "updated_at": datetime.now(UTC)})
        self._jobs[identity] = job
        try:
            await asyncio.to_thread(_write, self._folder, job)
        except OSError as error:
            log.error("recalibration_not_recorded", job=identity, error=str(error))

    async def _forget_the_oldest(self) -> None:
        over = [job.id for job in self._jobs.values() if job.over]
        for identity in over[: max(len(self._jobs) - MAX_KEPT, 0)]:
            del self._jobs[identity]
            await asyncio.to_thread((self._folder / f"{identity}.json").unlink, missing_ok=True)


class _Ended(Exception):
    """A job is over, for a reason that its caller is told."""

    def __init__(self, state: State, reason: str) -> None:
        super().__init__(reason)
        self.state = state


class _Collection:
    """Rows that come by, until there are enough.

    Args:
        model, version: whose rows.
        reservoir: keeps them.
        wanted: how many.
        out_of: how many must have come by.
        max_bytes: of all that are kept.
    """

    def __init__(
        self, model: str, version: int, reservoir: Reservoir[Row], wanted: int, out_of: int, max_bytes: int
    ) -> None:
        self.model = model
        self.version = version
        self.reservoir = reservoir
        self.wanted = wanted
        self.complete = asyncio.Event()
        self.too_large = False
        self._out_of = out_of
        self._max_bytes = max_bytes
        self._shapes: dict[str, tuple[int, ...]] | None = None

    def show(self, rows: CollectedRows) -> None:
        """Look at the rows of a request."""
        shapes = {name: values.shape[1:] for name, values in rows.inputs.items()}
        if self._shapes is None:
            size = sum(values[:1].nbytes for values in rows.inputs.values())
            self.too_large = size * self.wanted > self._max_bytes
            self._shapes = shapes
        if self.too_large:
            self.complete.set()
        if self.complete.is_set() or shapes != self._shapes:  # rows of other sizes cannot be stacked
            return
        for row in range(rows_in(rows.inputs)):
            self.reservoir.show(rows.client, lambda row=row: single(rows.inputs, row))  # type: ignore[misc]
            if len(self.reservoir) == self.wanted and self.reservoir.seen >= self._out_of:
                self.complete.set()
                return


def single(inputs: Mapping[str, Array], row: int) -> dict[str, Array]:
    """A copy of one row."""
    return {name: np.array(values[row]) for name, values in inputs.items()}


def _read_all(folder: Path) -> list[Job]:
    """Records, the oldest first. What is no record is passed over."""
    jobs = []
    for path in folder.glob("*.json"):
        with suppress(OSError, ValidationError):
            job = Job.model_validate_json(path.read_bytes())
            if path.stem == job.id:
                jobs.append(job)
    return sorted(jobs, key=lambda job: job.created_at)


def _write(folder: Path, job: Job) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    staged = folder / f".{job.id}"
    staged.write_text(job.model_dump_json(), "utf-8")
    staged.replace(folder / f"{job.id}.json")
