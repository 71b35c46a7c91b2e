"""Work that comes from many connections at once: a little of it is done in each iteration of the event loop.

Were all of it done in one iteration, everybody else would wait for it.

- A client may send many requests in line, and many clients may. Each connection is parsed up to the end of one request,
  and a few connections go on in each iteration.
- Hundreds of clients may ask for something at the same moment. A few tasks begin to answer in each iteration; a health
  check does not wait for its turn.
"""

import asyncio
from collections import deque
from collections.abc import Callable

MAX_AT_ONCE = 16
"""Connections that go on in one iteration."""

MAX_STARTS = 4
"""Tasks that begin in one iteration. The framework takes about a millisecond for each."""


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


class Starts:
    """The tasks of one event loop that are to answer a request, in the order in which the requests came."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._started = 0  # in this iteration

    async def wait(self) -> None:
        """Return when it is this task's turn."""
        if self._started < MAX_STARTS and not self._waiting:
            self._count()
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn

    def _count(self) -> None:
        self._started += 1
        if self._started == 1:
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self._started = 0
        while self._waiting and self._started < MAX_STARTS:
            turn = self._waiting.popleft()
            if not turn.done():  # or its task was cancelled
                turn.set_result(None)
                self._count()
