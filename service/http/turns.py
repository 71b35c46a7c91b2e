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

SECONDS = 0.003
"""Of an iteration, for what comes in it; and as much for what waits: what comes need not wait behind all of it."""

CLOSE_SECONDS = 0.00003
READ_SECONDS = 0.0002
"""That the event loop takes to close a connection, and to read a large segment, when a piece of work is over."""

Work = Callable[[], None]


class Turns:
    """Work of one event loop, in pieces, each kind in the order in which it came.

    Args:
        clock: seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._waiting: deque[tuple[Work, float]] = deque()
        self._later: deque[tuple[Work, float]] = deque()
        self._is_scheduled = False
        self._seconds = 0.0  # that this iteration has taken

    def run(self, work: Work, seconds: float = 0.0) -> None:
        """Do this at once; or in one of the next iterations, where this one has taken long enough.

        Args:
            work: is called.
            seconds: that it takes when it is over.
        """
        self._schedule()
        if self._seconds < SECONDS:
            self._do(work, seconds)
        else:
            self._waiting.append((work, seconds))

    def add(self, work: Work, seconds: float = 0.0) -> None:
        """Do this in one of the next iterations: one in each, and more where what waits leaves time."""
        self._schedule()
        self._later.append((work, seconds))

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        """Begin an iteration with what waits."""
        self._is_scheduled = False
        self._seconds = 0.0
        if not (self._waiting or self._later):
            return
        self._schedule()
        for queue in (self._waiting, self._later):
            if queue:  # at least one of each
                self._do(*queue.popleft())
            while queue and self._seconds < SECONDS:
                self._do(*queue.popleft())
        self._seconds = max(0.0, self._seconds - SECONDS)  # what one piece has taken too much, others wait for

    def _do(self, work: Work, seconds: float) -> None:
        start = self._clock()
        work()
        self._seconds += self._clock() - start + seconds


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
