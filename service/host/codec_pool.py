"""Threads that decode and encode what is large: bounded in memory and in waiting, in fair shares.

What waits takes no memory but for its body. Nothing else runs in these threads, and they keep no other work
waiting.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import TypeVar

from models.errors import Overloaded
from models.memory import release_freed

Result = TypeVar("Result")

_WORTH_RETURNING_BYTES = 16 << 20
"""From this much on, freed memory is returned to the system when nothing runs any more."""


class CodecPool:
    """A few threads behind a bounded queue, for one event loop.

    Args:
        threads: how many calls may run at the same time.
        max_bytes: memory that they may take together. One call may take more, if it runs alone.
        max_waiting: calls that may wait. One client may have half of them.
    """

    def __init__(self, threads: int, max_bytes: int, max_waiting: int = 64) -> None:
        self._threads = threads
        self._max_bytes = max_bytes
        self._max_waiting = max_waiting
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="codec")
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._waiting_by_client: Counter[str] = Counter()
        self._running = 0
        self._used = 0
        self._peak = 0

    async def run(self, client: str, size: int, function: Callable[[], Result]) -> Result:
        """Call the function in a thread, in this context, when it is its turn, and return its result.

        Args:
            client: identity of who has asked for it.
            size: bytes of memory that the function takes.
            function: the call.

        Raises:
            Overloaded: too many calls wait, of this client or of all.
        """
        await self._take_turn(client, size)
        running = asyncio.get_running_loop().run_in_executor(self._pool, copy_context().run, function)
        # Not when this is cancelled: the thread goes on.
        running.add_done_callback(lambda _: self._release(size))
        try:
            return await running
        finally:
            del running  # its exception refers to this frame, and with it to the body until the next garbage collection

    def close(self) -> None:
        """Wait for what runs."""
        self._pool.shutdown()

    async def _take_turn(self, client: str, size: int) -> None:
        if not self._waiting and self._has_room(size):
            self._reserve(size)
            return
        if len(self._waiting) >= self._max_waiting or self._waiting_by_client[client] >= self._max_waiting // 2:
            raise Overloaded(f"{len(self._waiting)} large bodies wait to be decoded already")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = size, turn
        self._waiting.append(waiting)
        self._waiting_by_client[client] += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with suppress(ValueError):  # its turn has come, and was passed on
                    self._waiting.remove(waiting)
                self._give_turns()
            else:  # it had been given the turn already
                self._release(size)
            raise
        finally:
            self._waiting_by_client -= Counter((client,))

    def _has_room(self, size: int) -> bool:
        return self._running == 0 or (self._running < self._threads and self._used + size <= self._max_bytes)

    def _reserve(self, size: int) -> None:
        self._running += 1
        self._used += size
        self._peak = max(self._peak, self._used)

    def _release(self, size: int) -> None:
        self._running -= 1
        self._used -= size
        self._give_turns()
        if not self._running and self._peak >= _WORTH_RETURNING_BYTES:
            self._peak = 0
            asyncio.get_running_loop().run_in_executor(self._pool, release_freed)

    def _give_turns(self) -> None:
        while self._waiting and (self._waiting[0][1].done() or self._has_room(self._waiting[0][0])):
            next_size, turn = self._waiting.popleft()
            if not turn.done():
                self._reserve(next_size)
                turn.set_result(None)
