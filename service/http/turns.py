"""Work that comes from many connections at once: a little of it is done in each iteration of the event loop.

Were all of it done in one iteration, everybody else would wait for it.

- Segments of hundreds of requests may arrive at once, and a client may send many requests in line. Hundreds of clients
  may disconnect at once, or reach a limit of time.
- Hundreds of clients may ask for something at the same moment that the framework answers. It takes about a millisecond
  to begin, so one task begins in each iteration.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter

SECONDS = 0.004
MAX_AT_ONCE = 64
"""Of one iteration. What waits gets half of both, so that what comes need not wait behind all of it.

The number bounds what no clock sees here: the event loop itself reads a connection that goes on, and closes one that
is to be closed.
"""


class Turns:
    """Work of one event loop, in pieces, each kind in the order in which it came.

    Args:
        clock: seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._waiting: deque[Callable[[], None]] = deque()
        self._later: deque[Callable[[], None]] = deque()
        self._is_scheduled = False
        self._seconds = 0.0  # that this iteration has taken for pieces
        self._number = 0  # of the pieces

    def run(self, work: Callable[[], None]) -> None:
        """Call this at once; or in one of the next iterations, where this one has done enough."""
        if not self._is_scheduled:
            self._begin()
        if self._has_room(1.0):
            self._do(work)
        else:
            self._waiting.append(work)

    def add(self, work: Callable[[], None]) -> None:
        """Call this in one of the next iterations: at least one in each, and more when nothing waits."""
        if not self._is_scheduled:
            self._begin()
        self._later.append(work)

    def _begin(self) -> None:
        """Count from now on what this iteration does. The next one begins with what waits then."""
        self._is_scheduled = True
        self._seconds, self._number = 0.0, 0
        asyncio.get_running_loop().call_soon(self._go_on)

    def _has_room(self, share: float) -> bool:
        return self._number < share * MAX_AT_ONCE and self._seconds < share * SECONDS

    def _do(self, work: Callable[[], None]) -> None:
        start = self._clock()
        work()
        self._seconds += self._clock() - start
        self._number += 1

    def _go_on(self) -> None:
        """Begin an iteration with what waits."""
        self._is_scheduled = False
        if self._waiting or self._later:
            self._begin()
        if self._later:
            self._do(self._later.popleft())
        while self._has_room(0.5) and (queue := self._waiting or self._later):
            self._do(queue.popleft())


class Starts:
    """The tasks of one event loop that are to answer a request, in the order in which the requests came."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_scheduled = False  # a task has begun in this iteration

    async def wait(self) -> None:
        """Return when it is this task's turn."""
        if not self._is_scheduled:
            self._schedule()
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn

    def _schedule(self) -> None:
        self._is_scheduled = True
        asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        """Let the next task begin, in a new iteration."""
        self._is_scheduled = False
        while self._waiting and not self._is_scheduled:
            turn = self._waiting.popleft()
            if not turn.done():  # or its task was cancelled
                turn.set_result(None)
                self._schedule()
