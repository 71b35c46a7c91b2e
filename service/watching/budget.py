"""The share of processor time that observing may take."""

import threading
from collections.abc import Callable
from time import perf_counter, process_time

HEAD_START_SECONDS = 0.1
"""Enough for the first windows of a small model."""

SPARE_SHARE = 0.5
"""Of one processor: what the process does not take of it is spare, and may be used for observing.

Half of one, since a client that waits for each answer before it asks again leaves a processor idle in between, and an
observation in that time delays its next answer.
"""

ENOUGH_ROWS = 256
"""A second, of spare time: a window of the default size. More rows would tell little more, and cost as much again."""

_MEASURED_SECONDS = 0.1
"""Over which it is measured what the process takes."""

_NEGLIGIBLE_SECONDS = 1e-9


class Budget:
    """Rests the observer's thread after each observation, so that observing stays within its share of a processor.

    Under load that is a share of the processor time that the process takes, and of one processor at most. A process
    that takes less than `SPARE_SHARE` of a processor for everything else has the rest for observing, as far as
    `ENOUGH_ROWS` a second need it: an idle processor costs nobody anything.

    Args:
        percent: the share under load, above 0 and up to 100. In spare time, that of one processor is always granted.
        head_start: seconds of processor time that are free, so that there is something to see soon.
        clock: seconds that pass.
        processor_clock: seconds of processor time that the process takes.
        wait: waits for some seconds; returns True at once when the budget is closed.
    """

    def __init__(
        self,
        percent: float,
        head_start: float = 0.0,
        clock: Callable[[], float] = perf_counter,
        processor_clock: Callable[[], float] = process_time,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._share_under_load = percent / 100
        self._head_start = head_start
        self._clock = clock
        self._processor_clock = processor_clock
        self._closed = threading.Event()
        self._wait = wait or self._closed.wait
        self._load = 1.0
        self._own_seconds = 0.0
        self._measured = clock(), processor_clock()

    @property
    def has_spare_time(self) -> bool:
        """Whether the process took less than `SPARE_SHARE` of a processor, besides observing, when last measured."""
        return self._load < SPARE_SHARE

    def spend(self, seconds: float, rows: int) -> None:
        """Account for an observation of some rows that took this much processor time, and rest for it."""
        self._own_seconds += seconds
        self._measure()
        owed, self._head_start = max(seconds - self._head_start, 0.0), max(self._head_start - seconds, 0.0)
        closed = False
        enough = max(seconds / max(rows, 1) * ENOUGH_ROWS, self._share_under_load)
        while owed > _NEGLIGIBLE_SECONDS and not closed:
            share = self._share(enough)
            pause = min(owed * (1 - share) / share, _MEASURED_SECONDS)
            if pause <= 0:
                return
            closed = self._wait(pause)
            owed -= pause * share / (1 - share)
            self._measure()

    def close(self) -> None:
        """End the current rest, and all later ones."""
        self._closed.set()

    def _share(self, enough: float) -> float:
        """Of a processor that observing may take now; in spare time at most what is enough."""
        return max(self._share_under_load * min(self._load, 1.0), min(SPARE_SHARE - self._load, enough))

    def _measure(self) -> None:
        """Find out what share of a processor the process takes, besides observing."""
        now, processor = self._clock(), self._processor_clock()
        passed = now - self._measured[0]
        if passed >= _MEASURED_SECONDS:
            self._load = max(processor - self._measured[1] - self._own_seconds, 0.0) / passed
            self._measured, self._own_seconds = (now, processor), 0.0
