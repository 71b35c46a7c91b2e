"""Runs the observed graph on a sample of the served batches, without delaying predictions.

A batch is offered when its predictions are ready, and taken if the observer is idle. One thread of low priority does
the rest; its budget decides when it is idle again. While the process has spare time, batches wait for the thread for a
moment, and those that are alike run together: to observe ten requests of one row costs little more than to observe one.
Batches that are not taken are counted.
"""

import threading
from collections.abc import Callable, Mapping
from math import ceil
from queue import SimpleQueue
from time import thread_time
from typing import TYPE_CHECKING

import structlog

from models.datatypes import Array
from service.catalog.served_version import ServedVersion
from service.host import priority
from service.telemetry.statistics import ServiceStatistics
from service.watching.budget import Budget
from service.watching.offered_rows import OfferedRows, join

if TYPE_CHECKING:
    from service.watching.batch_observer import BatchObserver  # slow to import

log = structlog.get_logger()

MAX_OBSERVED_ROWS = 32
"""Of one observation: a large batch must not keep a processor busy for long."""

MAX_OBSERVED_BYTES = 1 << 20
"""Of the inputs of one observation: they are copied on the event loop."""

MAX_WAITING_BATCHES = MAX_OBSERVED_ROWS
"""That wait for the thread while the process has spare time. Under load none waits for the end of its rest."""

MAX_WAITING_SECONDS = 0.05
"""That the first of them waits for more."""


class Observer:
    """Observes what a batcher serves.

    Args:
        batch_observer: returns what observes the rows; called in the observer's thread, where it may be assembled.
        budget: rests after each observation.
        statistics: of this process, which count the requests.
        clock: processor time of the calling thread, in seconds.

    Attributes:
        busy: enough waits, or the thread rests; offers are ignored meanwhile. A plain attribute, so that an offer costs
            no clock.
    """

    def __init__(
        self,
        batch_observer: "Callable[[], BatchObserver]",
        budget: Budget,
        statistics: ServiceStatistics,
        clock: Callable[[], float] = thread_time,
    ) -> None:
        self._batch_observer = batch_observer
        self._budget = budget
        self._statistics = statistics
        self._clock = clock
        self._queue: SimpleQueue[OfferedRows | None] = SimpleQueue()
        self._next: OfferedRows | None = None
        self._enough_waits = threading.Event()
        self.busy = False
        self._served_before: dict[tuple[str, int], int] = {}
        self._thread = threading.Thread(target=self._work, name="observer", daemon=True)
        self._thread.start()

    def offer(self, served: ServedVersion, inputs: Mapping[str, Array]) -> None:
        """Offer a batch that was served; on the event loop, in constant time."""
        if self.busy or not served.is_batchable or not (rows := served.count_rows(inputs)):
            return
        self.busy = True
        row_bytes = sum(array.nbytes for array in inputs.values()) // rows
        most = max(1, min(MAX_OBSERVED_ROWS, MAX_OBSERVED_BYTES // max(row_bytes, 1)))
        # Spread over the batch, since neighbours in it may be alike. A copy: the arrays may be views of a buffer that
        # its owner uses again.
        step = ceil(rows / most)
        sample = {name: array[::step].copy() for name, array in inputs.items()}
        # Skipped batches are counted by a difference, so that a batch that is not taken costs nothing.
        succeeded = self._statistics.of(served.model, served.version).success.count
        skipped = max(succeeded - self._served_before.get((served.model, served.version), 0) - 1, 0)
        self._served_before[served.model, served.version] = succeeded
        self._queue.put(OfferedRows(served, sample, ceil(rows / step), skipped))
        if self._budget.has_spare_time:
            self._take_more()
        if self.busy:
            self._enough_waits.set()

    def close(self) -> None:
        """Finish the current observation and end the thread."""
        self._budget.close()
        self._queue.put(None)
        self._enough_waits.set()
        self._thread.join()

    def _work(self) -> None:
        while parts := self._take():
            served, rows = parts[0].served, sum(part.rows for part in parts)
            began = self._clock()
            try:
                batch_observer = self._batch_observer()
                priority.lower_this_thread()  # not before: other threads may wait for what was assembled here
                batch_observer.open(served)
                began = self._clock()  # a model is loaded once, outside of the budget
                batch_observer.observe(join(parts))
            except Exception as error:  # the next batch may be fine
                log.error("observation_failed", model=served.model, version=served.version, exc_info=error)
            del served, parts  # or an unloaded version would stay in memory here
            self._budget.spend(self._clock() - began, rows)
            self._take_more()

    def _take(self) -> list[OfferedRows]:
        """The next rows, and those behind them that can be observed together; none at the end."""
        taken = self._queue.get() if self._next is None else self._next
        self._next = None
        if taken is None:
            return []
        if self._budget.has_spare_time:
            self._enough_waits.wait(MAX_WAITING_SECONDS)
        self._enough_waits.clear()
        parts, rows = [taken], taken.rows
        while rows < MAX_OBSERVED_ROWS and not self._queue.empty():
            following = self._queue.get()
            if following is None:
                self._queue.put(None)  # for the next time
                break
            if rows + following.rows > MAX_OBSERVED_ROWS or not taken.can_join(following):
                self._next = following
                break
            parts.append(following)
            rows += following.rows
        return parts

    def _take_more(self) -> None:
        """Take more batches, unless enough wait."""
        if self._queue.qsize() < (MAX_WAITING_BATCHES if self._budget.has_spare_time else 1):
            self.busy = False
