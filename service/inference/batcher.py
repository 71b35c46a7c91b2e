"""Joins concurrent requests into batches, and runs them off the event loop where that pays.

A run that is shorter than handing it to a thread takes is done at once, on the event loop. Longer ones go to a few
threads, behind a bounded queue. A batch is whatever waits when a thread gets free: nothing waits while one is idle, and
batches grow by themselves as the load does. `batch_wait` lets a batch that is not full wait longer, but only while
another run keeps the machine busy.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, perf_counter

from models.datatypes import Array
from models.errors import ClientDisconnected, Overloaded
from service.catalog.served_version import ServedVersion
from service.inference.batch import BatchResult, run_batch
from service.inference.limits import Limits
from service.inference.queue import Outputs, QueuedRequest, RequestQueue
from service.telemetry.statistics import ServiceStatistics

OnResult = Callable[[ServedVersion, Mapping[str, Array], Outputs, str], None]
"""Gets the version, inputs, outputs and client of a request that was answered."""


class Batcher:
    """Runs models for the requests of one event loop.

    Args:
        statistics: where runs and requests are counted.
        limits: how much runs, waits and is joined, where a model's manifest does not say otherwise.
        on_result: called on the event loop with every result; it returns at once, and never raises.
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
        self._queue = RequestQueue()
        self._running = 0
        self._batch_timer: asyncio.TimerHandle | None = None

    @property
    def queued(self) -> int:
        """How many requests wait for a run."""
        return len(self._queue)

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
            Overloaded: too many requests wait, or this one has waited for longer than its timeout.
            ClientDisconnected: the client disconnected before the run.
            InferenceFailed: the runtime broke on these inputs.
        """
        if (outputs := self.run_now(served, inputs, client)) is not None:
            return outputs
        if self._statistics.pending >= self._limits.max_pending:
            raise Overloaded(f"{self._statistics.pending} requests are waiting already: try again later")
        request = self._queue.push(served, inputs, priority)
        self._statistics.pending += 1
        watchers = self._watch(request, disconnected, timeout)
        counted = self._statistics.of(served.model, served.version)
        try:
            self._start_batches()
            outputs = await request.future
        except BaseException:
            counted.fail.add(monotonic() - request.arrived)
            raise
        else:
            counted.success.add(monotonic() - request.arrived)
            counted.queue.add(request.queued_seconds)
            self._on_result(served, inputs, outputs, client)
            return outputs
        finally:
            self._statistics.pending -= 1
            for watcher in watchers:
                watcher.cancel()
            self._queue.discard(request)

    def run_now(self, served: ServedVersion, inputs: Mapping[str, Array], client: str = "") -> Outputs | None:
        """All outputs of a model, by name, where its run is short. None where it is not: `run` queues it.

        Raises:
            InferenceFailed: the runtime broke on these inputs.
        """
        rows = served.count_rows(inputs)
        if served.engine.expected_seconds(rows) >= self._limits.for_model(served.manifest.batching).inline:
            return None
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
        self._on_result(served, inputs, outputs, client)
        return outputs

    def close(self) -> None:
        """Wait for what runs, and refuse what comes."""
        self._pool.shutdown()

    @staticmethod
    def _watch(
        request: QueuedRequest,
        disconnected: Callable[[], Awaitable[None]] | None,
        timeout: float | None,
    ) -> list["asyncio.TimerHandle | asyncio.Future[None]"]:
        """Take the request out of the queue when its timeout or its client's connection ends."""
        watchers: list[asyncio.TimerHandle | asyncio.Future[None]] = []
        if timeout is not None:
            error = Overloaded("the request has waited for longer than its timeout")
            watchers.append(asyncio.get_running_loop().call_later(timeout, request.fail, error))
        if disconnected is not None:
            leaving = asyncio.ensure_future(disconnected())
            leaving.add_done_callback(lambda _: request.fail(ClientDisconnected("the client has disconnected")))
            watchers.append(leaving)
        return watchers

    def _start_batches(self) -> None:
        """Give waiting requests to idle threads."""
        while self._running < self._limits.concurrency and len(self._queue) and not self._delay_batch():
            limits = self._limits.for_model(self._queue.first.served.manifest.batching)
            self._dispatch(self._queue.take_batch(limits.max_batch_rows))

    def _delay_batch(self) -> bool:
        """Whether the next batch waits for more requests to join it; if so, sets the timer that ends the wait."""
        first = self._queue.first
        limits = self._limits.for_model(first.served.manifest.batching)
        if not (limits.batch_wait and self._running):
            return False
        left = first.arrived + limits.batch_wait - monotonic()
        if left <= 0 or self._queue.joinable_rows() >= limits.max_batch_rows:
            return False
        if self._batch_timer is not None:
            self._batch_timer.cancel()
        self._batch_timer = asyncio.get_running_loop().call_later(left, self._start_batches)
        return True

    def _dispatch(self, batch: list[QueuedRequest]) -> None:
        self._running += 1
        running = asyncio.get_running_loop().run_in_executor(self._pool, run_batch, batch)
        running.add_done_callback(lambda done: self._finish(batch, done.result()))

    def _finish(self, batch: list[QueuedRequest], result: BatchResult) -> None:
        self._running -= 1
        counted = self._statistics.of(batch[0].served.model, batch[0].served.version)
        counted.failed_runs += result.failed_runs
        for rows, seconds in result.runs:
            counted.record_run(rows, seconds)
        for request, outcome in zip(batch, result.results, strict=True):
            if request.future.done():  # cancelled meanwhile
                continue
            if isinstance(outcome, Exception):
                request.future.set_exception(outcome)
            else:
                request.future.set_result(outcome)
        self._start_batches()
