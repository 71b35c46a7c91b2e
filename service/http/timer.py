"""A limit of time. Where the limits of many connections are reached at once, a few of them are acted on at a time."""

import asyncio
from collections.abc import Callable
from functools import partial

from service.http.turns import Turns


class Timer:
    """Calls something later, once, when it is its turn.

    Args:
        loop: that measures the time.
        turns: of what is to be called.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, turns: Turns) -> None:
        self._loop = loop
        self._turns = turns
        self._handle: asyncio.TimerHandle | None = None

    @property
    def is_running(self) -> bool:
        """Whether something is still to be called."""
        return self._handle is not None

    def start(self, seconds: float, work: Callable[[], None]) -> None:
        """Call this after some seconds, unless something is to be called already."""
        if self._handle is None:
            self._handle = self._loop.call_later(seconds, self._on_time, work)

    def stop(self) -> None:
        """Call nothing."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _on_time(self, work: Callable[[], None]) -> None:
        self._turns.run(partial(self._call, self._handle, work))

    def _call(self, handle: asyncio.TimerHandle | None, work: Callable[[], None]) -> None:
        if self._handle is handle:  # it was not stopped while it waited for its turn
            self._handle = None
            work()
