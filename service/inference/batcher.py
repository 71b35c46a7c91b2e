"""Joins concurrent requests into batches, and runs them off the event loop where that pays.

A run that is shorter than handing it to a thread takes is done on the event loop (`service.inference.short_runs`).
Longer ones go to a few threads, behind bounded queues (`service.inference.scheduler`). A batch is whatever waits when a
thread gets free: nothing waits while one is idle, and batches grow by themselves as the load does. `batch_wait` lets a
batch that is not full wait longer, but only while another run keeps the machine busy.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import monotonic
from typing import Any

from models.datatypes import Array
from models.errors import ClientDisconnected, Overloaded
from service.catalog.served_version import ServedVersion
from service.inference.batch import BatchResult, run_batch
from service.inference.limits import Limits
from service.inference.queue import ModelQueue, Outputs, QueuedRequest
from service.inference.scheduler import Scheduler
from service.inference.short_runs import OnResult, Outcome, ShortRun, ShortRuns
from service.telemetry.statistics import Refusal, ServiceStatistics


class Batcher:
    """Runs models for the requests of one event loop.

    Args:
        statistics: where runs and requests are counted.
        limits: how much runs, waits and is joined, where a model's manifest does not say otherwise.
        on_result: called on the event loop with every result; it returns at once, and never raises.

    Attributes:
        prepare: call this, which decodes a request and submits it, when the event loop has read all sockets.
    """

    def __init__(
        self,
        statistics: ServiceStatistics,
        limits: Limits,
        on_result: OnResult = lambda _served, _inputs, _outputs, _client: None,
    ) -> None:
        self._on_result = on_result
        self._statistics = statistics
        self._limits = limits
        self._pool = ThreadPoolExecutor(limits.concurrency, thread_name_prefix="run")
        self._scheduler = Scheduler(limits.max_pending, limits.concurrency)
        self._short_runs = ShortRuns(statistics, on_result)
        self.prepare = self._short_runs.prepare
        self._running = 0
        self._batch_timer: asyncio.TimerHandle | None = None

    @property
    def queued(self) -> int:
        """How many requests wait for a run."""
        return len(self._scheduler)

    @property
    def is_full(self) -> bool:
        """Whether so many requests wait or run that a further one may be refused: see `has_place`."""
        return self._scheduler.is_full

    def has_place(self, served: ServedVersion, client: str, priority: int) -> bool:
        """Whether a request of one row would be run now, in its turn or at once."""
        if not self.is_full or served.engine.expected_seconds(1) < self._inline_seconds(served):
            return True
        return self._scheduler.choose_evicted(served.model, client, priority) is not None

    def refuse(self, served: ServedVersion, reason: Refusal) -> Overloaded:
        """Count a request that is refused. Returns the error that says so."""
        self._statistics.of(served.model, served.version).refused[reason] += 1
        pending = len(self._scheduler) + self._scheduler.running
        message = {
            "queue_full": f"{pending} requests are waiting already, and this one has less right to a place",
            "evicted": f"{pending} requests are waiting, and one with more right to a place has come",
            "timeout": "the request has waited for longer than its timeout",
        }[reason]
        return Overloaded(f"{message}: try again later", self._scheduler.expected_wait(served.model))

    async def run(
        self,
        served: ServedVersion,
        inputs: Mapping[str, Array],
        client: str = "",
        *,
        disconnected: Callable[[], Awaitable[None]] | None = None,
        priority: int = 0,
        timeout: float | None = None,  # noqa: ASYNC109 - of the wait in the queue alone: a run is not interrupted
    ) -> Outputs:
        """All outputs of a model, by name. A client that disconnects leaves the queue, and affects no other request.

        Args:
            served: what to run.
            inputs: by name.
            client: the identity of who sent them.
            disconnected: returns when the client has disconnected; called only when the request is queued.
            priority: 1 is the highest, 0 the lowest.
            timeout: seconds that the request may wait for its run.

        Raises:
            Overloaded: too many requests wait, it gave up its place, or it waited for longer than its timeout.
            ClientDisconnected: the client disconnected before the run.
            InferenceFailed: the runtime broke on these inputs.
        """
        soon: asyncio.Future[Outputs | None] = asyncio.get_running_loop().create_future()
        if self.submit(served, inputs, client, partial(_resolve, soon)) and (outputs := await soon) is not None:
            return outputs
        outputs = await self.run_queued(self._enqueue(served, inputs, client, priority), disconnected, timeout)
        self._on_result(served, inputs, outputs, client)
        return outputs

    async def run_queued(
        self,
        request: QueuedRequest,
        disconnected: Callable[[], Awaitable[None]] | None,
        timeout: float | None,  # noqa: ASYNC109 - as of `run`
    ) -> Outputs:
        """All outputs of a model for a request that has just been queued: see `run`."""
        watchers = self._watch(request, disconnected, timeout)
        counted = self._statistics.of(request.served.model, request.served.version)
        counted.pending += 1
        try:
            self._start_batches()
            outputs = await request.future
        except BaseException:
            counted.fail.add(monotonic() - request.arrived)
            raise
        else:
            counted.success.add(monotonic() - request.arrived)
            counted.queue.add(request.began - request.arrived)
            return outputs
        finally:
            counted.pending -= 1
            for watcher in watchers:
                watcher.cancel()
            self._scheduler.discard(request)

    def submit(
        self,
        served: ServedVersion,
        inputs: Mapping[str, Array],
        client: str,
        on_outcome: Callable[[Outcome], None],
    ) -> bool:
        """Run a model on the event loop, together with other requests that have arrived, if its run is short.

        Args:
            served: what to run.
            inputs: by name.
            client: the identity of who sent them.
            on_outcome: gets the outputs, the error, or None where the run took too long: `run` queues it then.

        Returns:
            Whether it is run. If not, `run` queues it.
        """
        rows, limits = served.count_rows(inputs), self._limits.for_model(served.manifest.batching)
        seconds = served.engine.expected_seconds(rows)
        if seconds >= limits.inline or served.engine.is_busy:
            return False
        run = ShortRun(served, inputs, rows, seconds, client, on_outcome)
        self._short_runs.add(run, limits.max_batch_rows, limits.inline)
        return True

    def close(self) -> None:
        """Wait for what runs, and refuse what comes."""
        self._pool.shutdown()

    def _inline_seconds(self, served: ServedVersion) -> float:
        """Runs that are expected to be shorter are done on the event loop."""
        return self._limits.for_model(served.manifest.batching).inline

    def _enqueue(self, served: ServedVersion, inputs: Mapping[str, Array], client: str, priority: int) -> QueuedRequest:
        """Add a request to the queue, where it has a place or another one gives up its own.

        Raises:
            Overloaded: it has no place.
        """
        if self._scheduler.is_full:
            evicted = self._scheduler.choose_evicted(served.model, client, priority)
            if evicted is None:
                raise self.refuse(served, "queue_full")
            evicted.fail(self.refuse(evicted.served, "evicted"))
            self._scheduler.discard(evicted)
        return self._scheduler.push(served, inputs, client, priority)

    def _watch(
        self,
        request: QueuedRequest,
        disconnected: Callable[[], Awaitable[None]] | None,
        timeout: float | None,
    ) -> list["asyncio.TimerHandle | asyncio.Future[None]"]:
        """Take the request out of the queue when its timeout or its client's connection ends."""
        watchers: list[asyncio.TimerHandle | asyncio.Future[None]] = []
        if timeout is not None:
            watchers.append(asyncio.get_running_loop().call_later(timeout, self._time_out, request))
        if disconnected is not None:
            leaving = asyncio.ensure_future(disconnected())
            leaving.add_done_callback(lambda _: request.fail(ClientDisconnected("the client has disconnected")))
            watchers.append(leaving)
        return watchers

    def _time_out(self, request: QueuedRequest) -> None:
        if request.is_queued:
            request.fail(self.refuse(request.served, "timeout"))

    def _start_batches(self) -> None:
        """Give waiting requests to idle threads."""
        while self._running < self._limits.concurrency and (queue := self._scheduler.next_queue(self._is_due)):
            limits = self._limits.for_model(queue.first.served.manifest.batching)
            self._dispatch(self._scheduler.take_batch(queue, limits.max_batch_rows))

    def _is_due(self, queue: ModelQueue) -> bool:
        """Whether the next batch of a queue waits no longer for more requests; if it does, sets a timer for its end."""
        first = queue.first
        limits = self._limits.for_model(first.served.manifest.batching)
        if not (limits.batch_wait and self._running):
            return True
        left = first.arrived + limits.batch_wait - monotonic()
        if left <= 0 or queue.joinable_rows() >= limits.max_batch_rows:
            return True
        loop, timer = asyncio.get_running_loop(), self._batch_timer
        if timer is None or not loop.time() < timer.when() <= loop.time() + left:  # of another model, and earlier
            if timer is not None:
                timer.cancel()
            self._batch_timer = loop.call_later(left, self._start_batches)
        return False

    def _dispatch(self, batch: list[QueuedRequest]) -> None:
        self._running += 1
        running = asyncio.get_running_loop().run_in_executor(self._pool, run_batch, batch)
        running.add_done_callback(lambda done: self._finish(batch, done.result()))

    def _finish(self, batch: list[QueuedRequest], result: BatchResult) -> None:
        self._running -= 1
        self._scheduler.finish(batch, result.seconds)
        served = batch[0].served
        counted = self._statistics.of(served.model, served.version)
        counted.failed_runs += result.failed_runs
        for rows, seconds in result.runs:
            counted.record_run(rows, seconds)
            served.engine.learn(rows, seconds)
        for request, outcome in zip(batch, result.results, strict=True):
            _resolve(request.future, outcome)
        self._start_batches()


def _resolve(future: "asyncio.Future[Any]", outcome: Outcome) -> None:
    if future.done():  # cancelled meanwhile
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
