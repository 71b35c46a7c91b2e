"""Short runs, done on the event loop: those of the requests that arrive in one of its iterations are joined.

    sockets are read ──> requests are decoded ──> their runs are joined ──> responses are written ──> sockets are read

A run of one row costs most of what a small request costs, and a run of many rows hardly more. So no request is run when
it arrives, but when the event loop has read all sockets that had something. A request that is alone waits for nothing.

An iteration that would take too long ends before all requests are decoded. The rest comes in the next one, in order, so
that sockets are read in between: a large body needs several iterations to arrive, and its client would wait for the
requests of all others in each of them.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter, thread_time

import structlog

from models.datatypes import Array
from models.errors import RunTooLong
from service.catalog.served_version import ServedVersion
from service.inference.batch import join_inputs, split_outputs
from service.inference.queue import Outputs, batch_key
from service.telemetry.statistics import ServiceStatistics

log = structlog.get_logger()

ITERATION_SECONDS = 0.005
"""Of decoding and expected runs in one iteration of the event loop. A single request may take longer.

Who just misses an iteration waits for all of it: with twice as long ones, the 99th percentile of 32-row requests on
32 connections is 1.4 times as long. With shorter ones, which change more often between decoding and running, a request
takes more processor time (5 % at 0.003)."""

OVERTIME_SECONDS = 0.25
"""A run on the event loop that takes so much longer than expected is ended, and done again in a thread."""

Outcome = Outputs | Exception | None
"""The outputs of a run, its error, or None where it took too long for the event loop."""

OnResult = Callable[[ServedVersion, Mapping[str, Array], Outputs, str], None]
"""Gets the version, inputs, outputs and client of a request that was answered."""


@dataclass(eq=False, slots=True)
class ShortRun:
    """A request whose run is expected to be short.

    Attributes:
        served: what runs.
        inputs: by name.
        rows: number of rows of the inputs.
        seconds: that its run is expected to take alone.
        client: the identity of who sent it.
        on_outcome: gets its outcome. Must not raise.
        outcome: of its run, when it has ended.
        run_seconds: that its run took.
    """

    served: ServedVersion
    inputs: Mapping[str, Array]
    rows: int
    seconds: float
    client: str
    on_outcome: Callable[[Outcome], None]
    outcome: Outcome = None
    run_seconds: float = 0.0


@dataclass(eq=False, slots=True)
class _Group:
    """Requests that share a run.

    Attributes:
        requests: at least one.
        rows: of all of them.
        seconds: that the run is expected to take.
        max_seconds: that it may take.
    """

    requests: list[ShortRun]
    rows: int
    seconds: float
    max_seconds: float


class ShortRuns:
    """The short runs of one event loop.

    Args:
        statistics: where runs and requests are counted.
        on_result: called with every result; it returns at once, and never raises.
    """

    def __init__(self, statistics: ServiceStatistics, on_result: OnResult) -> None:
        self._statistics = statistics
        self._on_result = on_result
        self._preparations: deque[Callable[[], None]] = deque()
        self._groups: list[_Group] = []
        self._open_groups: dict[object, _Group] = {}
        self._expected_seconds = 0.0
        self._is_scheduled = False

    def prepare(self, preparation: Callable[[], None]) -> None:
        """Call this at the end of the iteration, or of a later one: it decodes a request, and may add a run."""
        self._preparations.append(preparation)
        self._schedule()

    def add(self, run: ShortRun, max_rows: int, max_seconds: float) -> None:
        """Run this at the end of the iteration, joined with others.

        Args:
            run: the request.
            max_rows: of a joined run. A request that has more rows runs by itself.
            max_seconds: that a joined run is expected to take.
        """
        key = batch_key(run.served, run.inputs)
        group = None if key is None else self._open_groups.get(key)
        if group is not None:
            rows = group.rows + run.rows
            seconds = run.served.engine.expected_seconds(rows)
            if rows <= max_rows and seconds < max_seconds:
                self._expected_seconds += seconds - group.seconds
                group.requests.append(run)
                group.rows, group.seconds = rows, seconds
                return
        group = self._open_groups[key] = _Group([run], run.rows, run.seconds, max_seconds + OVERTIME_SECONDS)
        self._groups.append(group)
        self._expected_seconds += run.seconds
        self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._work)

    def _work(self) -> None:
        self._prepare_runs()
        groups, self._groups, self._open_groups, self._expected_seconds = self._groups, [], {}, 0.0
        # A run leaves little of what came before it in the processor's cache. So all run before any is answered.
        for group in groups:
            _call(self._run, group.requests, group.rows, group.max_seconds)
        for group in groups:
            for run in group.requests:
                _call(self._answer, run)
        self._is_scheduled = False
        if self._preparations or self._groups:
            self._schedule()

    def _prepare_runs(self) -> None:
        """Decode what waits, as long as this iteration has time."""
        if len(self._preparations) == 1 and not self._groups:  # a request that is alone needs no clock
            _call(self._preparations.popleft())
            return
        started = thread_time()  # while others have the processor, nothing is gained by joining less
        while self._preparations and thread_time() - started + self._expected_seconds < ITERATION_SECONDS:
            _call(self._preparations.popleft())

    def _run(self, requests: list[ShortRun], rows: int, max_seconds: float) -> None:
        """Run some requests together."""
        served = requests[0].served
        counted = self._statistics.of(served.model, served.version)
        start = perf_counter()
        try:
            if len(requests) == 1:
                requests[0].outcome = served.engine.run(requests[0].inputs, max_seconds)
            else:
                outputs = served.engine.run(join_inputs([request.inputs for request in requests]), max_seconds)
                results = split_outputs(outputs, [request.rows for request in requests])
                for request, result in zip(requests, results, strict=True):
                    request.outcome = result
        except RunTooLong:
            return
        except Exception as error:  # noqa: BLE001 - it is raised where the request is answered
            counted.failed_runs += 1
            if len(requests) > 1:  # so that one bad row fails alone
                for request in requests:
                    self._run([request], request.rows, max_seconds)
            else:
                counted.fail.add(perf_counter() - start)
                requests[0].outcome = error
            return
        seconds = perf_counter() - start
        counted.record_run(rows, seconds)
        for request in requests:
            request.run_seconds = seconds

    def _answer(self, run: ShortRun) -> None:
        outcome = run.outcome
        if outcome is not None and not isinstance(outcome, Exception):
            counted = self._statistics.of(run.served.model, run.served.version)
            counted.success.add(run.run_seconds)
            counted.queue.add(0.0)
            self._on_result(run.served, run.inputs, outcome, run.client)
        run.on_outcome(outcome)


def _call(function: Callable[..., None], *arguments: object) -> None:
    """Call a function. A defect in it must not reach the other requests."""
    try:
        function(*arguments)
    except Exception as error:
        log.error("unexpected_error", exc_info=error)
