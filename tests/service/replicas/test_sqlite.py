"""The store in an SQLite file: what only a file has."""

import asyncio
from pathlib import Path

import pytest

from service.replicas.sqlite import SqliteStore
from service.replicas.store import ABSENT, StoreUnavailable


def test_a_store_outlives_its_processes(tmp_path: Path) -> None:
    async def write() -> None:
        store = SqliteStore(tmp_path / "new" / "store.sqlite")
        await store.put("a", b"1")
        await store.close()

    async def read() -> bytes | None:
        store = SqliteStore(tmp_path / "new" / "store.sqlite")
        value = await store.get("a")
        await store.close()
        return value

    asyncio.run(write())
    assert asyncio.run(read()) == b"1"


def test_a_clock_that_is_set_back_ends_leases_and_values_early_rather_than_never(tmp_path: Path) -> None:
    now = [1e9]

    async def test() -> None:
        store = SqliteStore(tmp_path / "store.sqlite", lambda: now[0])
        await store.put("a", b"1", 10)
        await store.lease("judge", "a", 10)
        now[0] -= 3600
        assert await store.get("a") is None
        assert await store.lease("judge", "b", 10)
        await store.close()

    asyncio.run(test())


def test_a_change_that_fails_leaves_the_file_unlocked(tmp_path: Path) -> None:
    async def test() -> None:
        first, second = SqliteStore(tmp_path / "store.sqlite"), SqliteStore(tmp_path / "store.sqlite")
        with pytest.raises(StoreUnavailable):
            await first.compare_and_set("a", ABSENT, {"no": "bytes"})  # type: ignore[arg-type]
        assert await second.compare_and_set("a", ABSENT, b"2")
        await first.close()
        await second.close()

    asyncio.run(test())


def test_a_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"something else" * 100)
    folder = tmp_path / "folder"
    folder.mkdir()

    async def test(path: Path) -> None:
        with pytest.raises(StoreUnavailable, match=f"SQLite at {path}"):
            await SqliteStore(path).get("a")

    asyncio.run(test(path))
    asyncio.run(test(folder))
