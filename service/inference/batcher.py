"""Joins concurrent requests into batches, and runs them off the event loop where that pays.

A run that is shorter than handing it to a thread takes is done at once, on the event loop. Longer ones go to a few
threads, behind a bounded queue. A batch is whatever waits when a thread gets free: nothing waits while one is idle, and
batches grow by themselves as the load does. `batch_wait` lets a batch that is not full wait longer, but only while
another run keeps the machine busy.

Only requests that the graph could not tell apart are joined: of one version, with equal types and shapes of a row.
"""

import asyncio
import heapq
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from time import monotonic, perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ClientDisconnected, DengeError, Overloaded
from service.catalog.served_version import ServedVersion
from service.inference.limits import Limits
from service.telemetry.statistics import ServiceStatistics

Array = NDArray[Any]
Outputs = dict[str, Array]
Answered = Callable[[ServedVersion, Mapping[str, Array], Outputs], None]

LOWEST_PRIORITY = 2**32

_TIMED_OUT = "the request has waited for longer than its timeout"


@dataclass(order=True)
class _Job:
    """A request in the queue. Ordered by priority, 1 being the highest, then by arrival."""

    priority: int
    order: int
    served: ServedVersion = field(compare=False)
    inputs: Mapping[str, Array] = field(compare=False)
    rows: int = field(compare=False)
    key: object = field(compare=False)
    future: "asyncio.Future[Outputs]" = field(compare=False)
    arrived: float = field(compare=False)
    queued: bool = field(compare=False, default=True)
    queued_seconds: float = field(compare=False, default=0.0)


class Batcher:
    """Runs models for the requests of one event loop.

    Args:
        statistics: where runs and requests are counted.
        limits: how much runs, waits and is joined, where a model's manifest does not say otherwise.
        answered: is told the inputs and outputs of every request, in its own context; it keeps nobody waiting, and
            never raises.
    """

    def __init__(self, statistics: ServiceStatistics, limits: Limits, answered: Answered | None = None) -> None:
        self._answered = answered
        self._statistics = statistics
        self._limits = limits
        self._pool = ThreadPoolExecutor(limits.concurrency, thread_name_prefix="run")
        self._queue: list[_Job] = []
        self._order = count()
        self._running = 0
        self._alarm: asyncio.TimerHandle | None = None

    async def run(
        self,
        served: ServedVersion,
        inputs: Mapping[str, Array],
        *,
        gone: Callable[[], Coroutine[Any, Any, None]] | None = None,
        priority: int = 0,
        patience: float | None = None,
    ) -> Outputs:
        """All outputs of a model, by name. A caller that goes away leaves the queue and takes no other along.

        Args:
            served: what to run.
            inputs: by name.
            gone: returns when the caller has gone; asked for only where there is something to wait for.
            priority: 1 is the highest, 0 the lowest.
            patience: seconds that the request may wait for its run.

        Raises:
            Overloaded: too many requests wait already, or this one has waited too long.
            ClientDisconnected: the caller went away first.
            InferenceFailed: the runtime broke on these inputs.
        """
        if (at_once := self.run_now(served, inputs)) is not None:
            return at_once
        if self._statistics.pending >= self._limits.max_pending:
            raise Overloaded(f"{self._statistics.pending} requests are waiting already: try again later")
        loop = asyncio.get_running_loop()
        job = _Job(
            priority or LOWEST_PRIORITY,
            next(self._order),
            served,
            inputs,
            served.count_rows(inputs),
            _key(served, inputs),
            loop.create_future(),
            monotonic(),
        )
        heapq.heappush(self._queue, job)
        self._statistics.pending += 1
        watches: list[asyncio.TimerHandle | asyncio.Task[None]] = []
        if patience is not None:
            watches.append(loop.call_later(patience, self._give_up, job, Overloaded(_TIMED_OUT)))
        if gone is not None:
            leaving = loop.create_task(gone())
            leaving.add_done_callback(lambda _: self._give_up(job, ClientDisconnected("the caller has gone")))
            watches.append(leaving)
        counted = self._statistics.of(served.model, served.version)
        try:
            self._start()
            outputs = await job.future
        except BaseException:
            counted.fail.add(monotonic() - job.arrived)
            raise
        else:
            counted.success.add(monotonic() - job.arrived)
            counted.queue.add(job.queued_seconds)
            if self._answered is not None:
                self._answered(served, inputs, outputs)
            return outputs
        finally:
            self._statistics.pending -= 1
            for watch in watches:
                watch.cancel()
            if job.queued:
                self._queue.remove(job)
                heapq.heapify(self._queue)

    def run_now(self, served: ServedVersion, inputs: Mapping[str, Array]) -> Outputs | None:
        """All outputs of a model, by name, where its run is short. None where it is not: `run` does those.

        Raises:
            InferenceFailed: the runtime broke on these inputs.
        """
        rows = served.count_rows(inputs)
        if served.engine.expected_seconds(rows) >= self._limits.of(served.manifest.batching).inline:
            return None
        return self._run_inline(served, inputs, rows)

    def close(self) -> None:
        """Wait for what runs, refuse what comes."""
        self._pool.shutdown()

    def _run_inline(self, served: ServedVersion, inputs: Mapping[str, Array], rows: int) -> Outputs:
        counted = self._statistics.of(served.model, served.version)
        start = perf_counter()
        try:
            outputs = served.engine.run(inputs)
        except Exception:
            counted.failed_runs += 1
            counted.fail.add(perf_counter() - start)
            raise
        seconds = perf_counter() - start
        counted.record_run(rows, seconds)
        counted.success.add(seconds)
        counted.queue.add(0.0)
        if self._answered is not None:
            self._answered(served, inputs, outputs)
        return outputs

    def _give_up(self, job: _Job, reason: DengeError) -> None:
        """Answer a request that still waits in the queue with this error."""
        if job.queued and not job.future.done():
            job.future.set_exception(reason)

    def _start(self) -> None:
        """Give waiting jobs to idle threads."""
        while self._running < self._limits.concurrency:
            if not self._queue or self._waits():
                return
            self._dispatch(self._take())

    def _waits(self) -> bool:
        """Whether the next batch waits for more to join it."""
        first = self._queue[0]
        limits = self._limits.of(first.served.manifest.batching)
        if not (limits.batch_wait and self._running):
            return False
        rows = sum(job.rows for job in self._queue if job.key == first.key)
        left = first.arrived + limits.batch_wait - monotonic()
        if left <= 0 or rows >= limits.max_batch_rows:
            return False
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_later(left, self._start)
        return True

    def _take(self) -> list[_Job]:
        """The next batch: the first job, and those after it that can join."""
        first = heapq.heappop(self._queue)
        most = self._limits.of(first.served.manifest.batching).max_batch_rows
        batch, rows, left = [first], first.rows, []
        while self._queue:
            job = heapq.heappop(self._queue)
            if job.key is not None and job.key == first.key and rows + job.rows <= most:
                batch.append(job)
                rows += job.rows
            else:
                left.append(job)
        self._queue = left  # popped in order, so still a heap
        now = monotonic()
        for job in batch:
            job.queued = False
            job.queued_seconds = now - job.arrived
        return batch

    def _dispatch(self, batch: list[_Job]) -> None:
        self._running += 1
        running = asyncio.get_running_loop().run_in_executor(self._pool, self._run_batch, batch)
        running.add_done_callback(lambda done: self._finish(batch, done))

    def _finish(self, batch: list[_Job], done: "asyncio.Future[_Ran]") -> None:
        self._running -= 1
        ran = done.result()
        counted = self._statistics.of(batch[0].served.model, batch[0].served.version)
        counted.failed_runs += ran.broken
        for rows, seconds in ran.runs:
            counted.record_run(rows, seconds)
        for job, result in zip(batch, ran.results, strict=True):
            if job.future.done():  # cancelled meanwhile; the others are still answered
                continue
            if isinstance(result, Exception):
                job.future.set_exception(result)
            else:
                job.future.set_result(result)
        self._start()

    def _run_batch(self, batch: list[_Job]) -> "_Ran":
        """Outputs or error of each job. In a thread."""
        ran = _Ran()
        if len(batch) > 1:
            try:
                ran.results += self._run_joined(ran, batch)
            except Exception:  # noqa: BLE001, S110 - whatever it was, nobody may be left without an answer
                pass  # Something in it breaks the run: alone, each stands for itself.
            else:
                return ran
        for job in batch:
            try:
                ran.results.append(ran.run(job.served, job.inputs, job.rows))
            except Exception as error:  # noqa: BLE001 - it is the caller's, who raises it
                ran.results.append(error)
        return ran

    def _run_joined(self, ran: "_Ran", batch: list[_Job]) -> list[Outputs]:
        joined = {name: np.concatenate([job.inputs[name] for job in batch]) for name in batch[0].inputs}
        outputs = ran.run(batch[0].served, joined, sum(job.rows for job in batch))
        results: list[Outputs] = []
        start = 0
        for job in batch:
            results.append({name: array[start : start + job.rows] for name, array in outputs.items()})
            start += job.rows
        return results


@dataclass
class _Ran:
    """What came of a batch in its thread.

    Attributes:
        results: outputs or error of each job.
        runs: rows and seconds of each run of the model.
        broken: runs that ended in an error.
    """

    results: list[Outputs | Exception] = field(default_factory=list)
    runs: list[tuple[int, float]] = field(default_factory=list)
    broken: int = 0

    def run(self, served: ServedVersion, inputs: Mapping[str, Array], rows: int) -> Outputs:
        """Run the model once."""
        start = perf_counter()
        try:
            outputs = served.engine.run(inputs)
        except Exception:
            self.broken += 1
            raise
        self.runs.append((rows, perf_counter() - start))
        return outputs


def _key(served: ServedVersion, inputs: Mapping[str, Array]) -> object:
    """Equal for requests that may be joined; None for one that may not."""
    if not served.is_batchable:
        return None
    return id(served), *((name, inputs[name].dtype, inputs[name].shape[1:]) for name in sorted(inputs))
