"""The share of processor time that observing may take."""

import threading
from collections.abc import Callable
from time import perf_counter, process_time

HEAD_START_SECONDS = 0.25
"""Enough for the first windows of a small model."""

_MAX_STRETCH = 5
"""A process that is nearly idle makes a rest this many times longer at most."""


class Budget:
    """Rests the observer's thread after each observation, so that observing stays within its share.

    The share is of the processor time that the whole process takes, and of one processor at most. A process that takes
    less than a fifth of a processor counts as if it took a fifth.

    Args:
        percent: the share, above 0 and up to 100.
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
        self._rest_per_second = 100 / percent - 1
        self._head_start = head_start
        self._clock = clock
        self._processor_clock = processor_clock
        self._closed = threading.Event()
        self._wait = wait or self._closed.wait

    def spend(self, seconds: float) -> None:
        """Account for an observation that took this much processor time, and rest for it."""
        self._head_start -= seconds
        if self._head_start <= 0:
            self._rest(seconds * self._rest_per_second)

    def close(self) -> None:
        """End the current rest, and all later ones."""
        self._closed.set()

    def _rest(self, seconds: float) -> None:
        latest, enough = self._clock() + _MAX_STRETCH * seconds, self._processor_clock() + seconds
        closed = self._wait(seconds)
        while not closed and self._processor_clock() < enough and self._clock() < latest:
            closed = self._wait(seconds / 4)
