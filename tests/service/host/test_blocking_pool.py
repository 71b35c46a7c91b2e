"""Work that may hang, and callers that do not."""

import asyncio
import threading

import pytest

from models.errors import Overloaded, StorageError
from service.host import blocking_pool
from service.host.blocking_pool import BlockingPool
from tests.awaiting import within_time


def test_a_call_runs_in_a_thread_and_returns_or_raises() -> None:
    async def scenario() -> None:
        pool = BlockingPool("disk", 2, 60)

        def name(prefix: str, *, suffix: str) -> str:
            return f"{prefix}{threading.current_thread().name}{suffix}"

        assert (await pool.run("look", name, "<", suffix=">")) in {"<disk-1>", "<disk-2>"}
        with pytest.raises(KeyError):
            await pool.run("look", {}.__getitem__, "key")
        with pytest.raises(StorageError, match="read the file: Too many open files"):
            await pool.run("read the file", _raise, OSError(24, "Too many open files"))

    asyncio.run(within_time(scenario(), "the pool did not answer"))


def _raise(error: Exception) -> None:
    raise error


def test_a_call_that_hangs_is_answered_and_does_not_keep_the_process() -> None:
    hangs = threading.Event()

    async def scenario() -> None:
        pool = BlockingPool("disk", 1, 0)
        with pytest.raises(StorageError, match="list the repository: not finished after 0 s"):
            await pool.run("list the repository", hangs.wait)
        with pytest.raises(StorageError, match="not finished"):
            await pool.run("list it again", hangs.wait)

    asyncio.run(within_time(scenario(), "the pool did not answer"))
    working = [thread for thread in threading.enumerate() if thread.name == "disk-1"]
    assert working
    assert all(thread.daemon for thread in working)
    hangs.set()


def test_a_bounded_number_of_calls_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking_pool, "MAX_WAITING", 2)
    opens = threading.Event()

    async def scenario() -> None:
        pool = BlockingPool("disk", 1, None)
        waiting = [asyncio.create_task(pool.run("wait", opens.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="look: 2 calls wait"):
            await pool.run("look", opens.is_set)
        opens.set()
        assert await asyncio.gather(*waiting) == [True, True]
        assert await pool.run("look", opens.is_set)

    asyncio.run(within_time(scenario(), "the pool did not answer"))
