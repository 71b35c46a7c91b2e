"""Threads for work that may wait on disks and locks. Nothing else waits for them, not even the end of the process."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

from models.errors import Overloaded, StorageError

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

MAX_WAITING = 32
"""Calls that may be queued or running in one pool."""


class BlockingPool:
    """A few threads behind a bounded queue, and a limit on how long a caller waits.

    A thread that hangs cannot be ended: its caller is answered all the same, and the process ends without it. For one
    event loop.

    Args:
        name: of the threads.
        threads: how many.
        seconds: how long a caller waits; None for as long as it takes.
    """

    def __init__(self, name: str, threads: int, seconds: float | None) -> None:
        self._name = name
        self._threads = threads
        self._seconds = seconds
        self._started = 0
        self._waiting = 0
        self._queue: SimpleQueue[Callable[[], None]] = SimpleQueue()

    async def run(
        self, what: str, function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Result:
        """Call the function in a thread, and return its result.

        Args:
            what: is done, for messages.
            function: goes on when the caller does not wait any longer.
            args, kwargs: of the function.

        Raises:
            StorageError: it takes too long, or ends with an OSError.
            Overloaded: `MAX_WAITING` calls wait already.
        """
        if self._waiting >= MAX_WAITING:
            raise Overloaded(f"{what}: {MAX_WAITING} calls wait for a disk or a lock already: try again later")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        call = partial(contextvars.copy_context().run, function, *args, **kwargs)
        self._waiting += 1
        self._queue.put(lambda: self._call(call, future, loop))
        if self._started < self._threads:
            self._started += 1
            threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()
        try:
            async with asyncio.timeout(self._seconds):
                return await future
        except TimeoutError:
            raise StorageError(
                f"{what}: not finished after {self._seconds or 0:g} s. It goes on: a disk or a lock may not answer"
            ) from None
        except OSError as error:
            raise StorageError(f"{what}: {error.strerror or error}") from error

    def _work(self) -> None:
        while True:
            self._queue.get()()

    def _call(
        self, call: Callable[[], Result], future: "asyncio.Future[Result]", loop: asyncio.AbstractEventLoop
    ) -> None:
        result: Result | None = None
        error: BaseException | None = None
        try:
            result = call()
        except BaseException as raised:  # noqa: BLE001 - it is raised where the call is awaited
            error = raised

        def finish() -> None:
            self._waiting -= 1
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]

        try:
            loop.call_soon_threadsafe(finish)
        except RuntimeError:  # the loop has ended
            return
