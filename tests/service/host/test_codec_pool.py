"""Work on large bodies: how much runs, how much waits, and whose."""

import asyncio
import contextlib
import gc
import threading
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial

import pytest

from models.errors import Overloaded
from service.host.codec_pool import CodecPool
from tests.awaiting import within_time


class Gate:
    """Work that ends when it is let."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self._lock = threading.Lock()
        self._open = threading.Event()

    def __call__(self) -> str:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        assert self._open.wait(30)
        with self._lock:
            self.running -= 1
        return threading.current_thread().name

    def open(self) -> None:
        self._open.set()


async def start(
    pool: CodecPool, gate: Callable[[], str], count: int, client: str, size: int
) -> list[asyncio.Task[str]]:
    tasks = [asyncio.create_task(pool.run(client, size, gate)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


@pytest.mark.parametrize(("threads", "size", "together"), [(2, 1, 2), (4, 5, 2), (4, 8, 1), (4, 100, 1)])
def test_as_much_runs_together_as_threads_and_memory_allow(threads: int, size: int, together: int) -> None:
    async def scenario() -> None:
        pool, gate = CodecPool(threads, max_bytes=10), Gate()
        tasks = await start(pool, gate, 5, "a", size)

        gate.open()
        names = await within_time(asyncio.gather(*tasks), "the calls do not end")

        assert gate.most <= together
        assert all(name.startswith("codec") for name in names)
        pool.close()

    asyncio.run(scenario())


def test_one_client_gets_half_of_the_places_and_others_the_rest() -> None:
    async def scenario() -> None:
        pool, gate = CodecPool(1, 10, max_waiting=4), Gate()
        tasks = await start(pool, gate, 3, "a", 1)  # one runs
        with pytest.raises(Overloaded):
            await pool.run("a", 1, gate)
        tasks += await start(pool, gate, 2, "b", 1)
        with pytest.raises(Overloaded):
            await pool.run("c", 1, gate)

        gate.open()
        await within_time(asyncio.gather(*tasks), "the calls do not end")

        assert await pool.run("a", 1, lambda: "again") == "again"
        pool.close()

    asyncio.run(scenario())


def test_who_does_not_wait_any_more_takes_no_place() -> None:
    async def scenario() -> None:
        pool, gate = CodecPool(1, 10, max_waiting=2), Gate()
        running, waiting = await start(pool, gate, 2, "a", 1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        running.cancel()
        (last,) = await start(pool, lambda: "last", 1, "a", 1)

        gate.open()

        assert await within_time(last, "what is behind a cancelled call does not run") == "last"
        pool.close()

    asyncio.run(scenario())


def test_those_who_have_given_up_leave_their_places_to_others_while_a_long_call_runs() -> None:
    async def scenario() -> None:
        pool, gate = CodecPool(2, 10, max_waiting=4), Gate()
        running = await start(pool, gate, 1, "a", 6)
        for client in ("a", "b"):
            gone = await start(pool, gate, 2, client, 6)
            for task in gone:
                task.cancel()
            await asyncio.gather(*gone, return_exceptions=True)
        behind, small = await start(pool, gate, 1, "c", 6), await start(pool, lambda: "small", 1, "d", 4)
        behind[0].cancel()

        # What was behind the one that has given up fits beside the one that runs.
        assert await within_time(small[0], "a call waits behind one that has given up") == "small"
        gate.open()
        await within_time(asyncio.gather(*running), "the call does not end")
        pool.close()

    asyncio.run(scenario())


def test_an_error_is_raised_where_the_call_is_awaited() -> None:
    async def scenario() -> None:
        pool = CodecPool(1, 10)

        def fail() -> None:
            raise ValueError("wrong")

        with pytest.raises(ValueError, match="wrong"):
            await pool.run("a", 1, fail)
        assert await pool.run("a", 1, lambda: 1) == 1
        pool.close()

    asyncio.run(scenario())


def test_what_a_failed_call_referred_to_is_freed_at_once() -> None:
    class Body:
        """In place of bytes, which cannot be referred to weakly."""

    def fail(_: Body) -> None:
        raise Overloaded("as it shall")

    async def freed() -> bool:
        body = Body()
        reference = weakref.ref(body)
        pool = CodecPool(threads=1, max_bytes=1)
        with contextlib.suppress(Overloaded):
            await pool.run("client", 1, partial(fail, body))
        del body
        pool.close()
        await asyncio.sleep(0)  # until then, the event loop refers to what has been awaited
        return reference() is None

    gc.disable()  # which would find the cycles of an error, its traceback and the frames, but late
    try:
        assert asyncio.run(freed())
    finally:
        gc.enable()


def test_a_call_has_the_context_of_who_has_asked_for_it() -> None:
    variable: ContextVar[str] = ContextVar("variable")

    async def ask(pool: CodecPool, name: str) -> str:
        variable.set(name)
        return await pool.run("a", 1, variable.get)

    async def scenario() -> None:
        pool = CodecPool(1, 10)
        assert await asyncio.gather(ask(pool, "one"), ask(pool, "two")) == ["one", "two"]
        pool.close()

    asyncio.run(scenario())
