"""Connections on which more requests have come than one: a few of them go on in each iteration of the event loop.

A client may send many requests in line, and many clients may. Each connection is parsed up to the end of one request;
were all of them in one iteration, everybody else would wait for as many requests as there are such connections.
"""

import asyncio
from collections import deque
from collections.abc import Callable

MAX_AT_ONCE = 16
"""Connections that go on in one iteration."""


class Turns:
    """The connections of one event loop that have something to parse already, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_scheduled = False

    def add(self, parse: Callable[[], None]) -> None:
        """Call this in one of the next iterations."""
        self._waiting.append(parse)
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._work)

    def _work(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(min(MAX_AT_ONCE, len(self._waiting))):
            loop.call_soon(self._waiting.popleft())
        self._is_scheduled = bool(self._waiting)
        if self._waiting:
            loop.call_soon(self._work)
