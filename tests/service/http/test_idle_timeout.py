"""One timer for many requests finds when none has come for too long."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from service.http.idle_timeout import IdleTimeout


class Clock:
    """Time that passes when it is told to, and a timer in it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.set = 0
        self._end, self._work = math.inf, lambda: None

    @property
    def is_running(self) -> bool:
        return self._end < math.inf

    def start(self, seconds: float, work: Callable[[], None]) -> None:
        if not self.is_running:
            self.set += 1
            self._end, self._work = self.now + seconds, work

    def stop(self) -> None:
        self._end = math.inf

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while self._end <= end:
            self.now, self._end = self._end, math.inf
            self._work()
        self.now = end


@pytest.fixture
def clock() -> Any:
    return Clock()


def test_it_ends_so_many_seconds_after_the_last_request_with_few_timers(clock: Any) -> None:
    ended: list[float] = []
    timeout = IdleTimeout(clock, lambda: clock.now, 5, lambda: True, lambda: ended.append(clock.now))
    for _ in range(100):
        timeout.start()
        clock.pass_time(0.1)
    last = clock.now - 0.1
    clock.pass_time(4.8)
    assert ended == []
    assert timeout.is_running
    clock.pass_time(0.2)

    assert ended == [pytest.approx(last + 5)]
    assert clock.set <= 4
    assert not timeout.is_running


def test_a_request_that_takes_long_is_waited_for(clock: Any) -> None:
    ended: list[float] = []
    busy = False
    timeout = IdleTimeout(clock, lambda: clock.now, 5, lambda: not busy, lambda: ended.append(clock.now))
    timeout.start()
    clock.pass_time(1)
    busy = True
    clock.pass_time(100)
    busy = False
    assert (ended, timeout.is_running) == ([], False)
    timeout.start()
    clock.pass_time(6)

    assert ended == [106]


def test_a_timeout_that_was_stopped_ends_nothing(clock: Any) -> None:
    ended: list[float] = []
    timeout = IdleTimeout(clock, lambda: clock.now, 5, lambda: True, lambda: ended.append(clock.now))
    timeout.start()
    timeout.stop()
    clock.pass_time(10)

    assert (ended, timeout.is_running) == ([], False)
