"""A store of each kind, empty, whose time the test sets forward."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from service.replicas.memory import MemoryStore
from service.replicas.sqlite import SqliteStore
from service.replicas.store import Store
from service.replicas.valkey import ValkeyStore
from tests import valkey
from tests.valkey import Server

Test = Callable[..., Coroutine[Any, Any, None]]


@dataclass
class Stores:
    """Stores with the same content, as several replicas open them.

    `elapse` sets their time forward.
    """

    open: Callable[[], Store]
    elapse: Callable[[float], None]
    opened: list[Store] = field(default_factory=list)

    def another(self) -> Store:
        store = self.open()
        self.opened.append(store)
        return store

    def run(self, test: Test, replicas: int = 2) -> None:
        """Run a test with the stores of some replicas, then close these."""

        async def main() -> None:
            async with self._closing():
                await asyncio.wait_for(test(*(self.another() for _ in range(replicas))), 30)

        asyncio.run(main())

    @asynccontextmanager
    async def _closing(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            for store in self.opened:
                await store.close()
            self.opened.clear()


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Server]:
    with valkey.running() as server:
        yield server


@pytest.fixture(params=["memory", "sqlite", "valkey"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Stores:
    now = [1e9]

    def elapse(seconds: float) -> None:
        now[0] += seconds

    if request.param == "memory":
        shared = MemoryStore(lambda: now[0])
        return Stores(lambda: shared, elapse)
    if request.param == "sqlite":
        path = tmp_path / "state" / "store.sqlite"
        return Stores(lambda: SqliteStore(path, lambda: now[0]), elapse)
    return of_server(request.getfixturevalue("valkey_server"))


def of_server(server: Server) -> Stores:
    client = Redis.from_url(server.url)
    client.flushall()

    def elapse(seconds: float) -> None:
        """Shorten the time that every key has left, since the server's clock is its own."""
        for key in client.scan_iter():
            if (left := client.pttl(key)) >= 0:
                client.pexpire(key, left - round(seconds * 1e3))

    return Stores(lambda: ValkeyStore(server.url), elapse)
