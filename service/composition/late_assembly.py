"""When the late parts of a replica are assembled: once its port is open, or when something needs them before."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.composition.late_parts import LateParts  # slow to import


class LateAssembly:
    """The late parts, which the first call of `get` assembles. Whoever needs them waits for that.

    Args:
        assemble: makes the parts.

    Attributes:
        known: the parts; None before they are assembled.
    """

    def __init__(self, assemble: "Callable[[], LateParts]") -> None:
        self._assemble = assemble
        self._assembling = threading.Lock()
        self._opening = asyncio.Lock()
        self._running = AsyncExitStack()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_open = False
        self.known: LateParts | None = None

    def get(self) -> "LateParts":
        """The parts. Safe to call from any thread; what fails is tried again by the next call."""
        with self._assembling:
            if self.known is None:
                self.known = self._assemble()
            return self.known

    async def open(self) -> None:
        """Assemble the parts in a thread, and start them, unless that is done or the service does not run."""
        parts = await asyncio.to_thread(self.get)
        if self._loop is not None and not self._is_open:
            # A test may send requests from another event loop than the one that the service runs on.
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._start(parts), self._loop))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let the parts run until the end of the block, if they are opened before."""
        self._loop = asyncio.get_running_loop()
        try:
            yield
        finally:
            await self.stop()
            await self._running.aclose()

    async def stop(self) -> None:
        """End all jobs, and start no parts any more."""
        async with self._opening:
            was_running, self._loop = self._loop is not None, None
        if self.known is not None and was_running:
            await self.known.stop()

    async def _start(self, parts: "LateParts") -> None:
        async with self._opening:
            if self._loop is not None and not self._is_open:
                await self._running.enter_async_context(parts.running())
                self._is_open = True
