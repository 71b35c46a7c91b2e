"""The store of several processes of one machine: an SQLite file, in write-ahead mode.

All statements run in one thread. The file must be on a disk of this machine: write-ahead mode shares memory between the
processes, which network file systems do not.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from time import time
from typing import TypeVar

from models.errors import DengeError
from service.host.blocking_pool import BlockingPool
from service.replicas.store import Revision, StoreUnavailable, revision_of

Result = TypeVar("Result")

LOCK_SECONDS = 5.0
"""How long a statement waits for those of other processes."""
CALL_SECONDS = 10.0
"""How long a caller waits for the disk."""
POLL_SECONDS = 0.1
"""Between two looks at new messages."""
KEPT_SECONDS = 60.0
"""How long messages stay in the file. A subscriber that does not look for longer loses them."""

_TABLES = """
CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value BLOB NOT NULL, ends REAL, ttl REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, ends REAL NOT NULL, ttl REAL NOT NULL);
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, message BLOB NOT NULL, sent REAL NOT NULL
);
"""

# The clock of the system may be set back: an end that is further ahead than the time to live has passed as well.
_ENDED = "(ends <= :now OR ends > :now + ttl)"
_PUT = "INSERT OR REPLACE INTO entries (key, value, ends, ttl) VALUES (:key, :value, :now + :ttl, :ttl)"
_GET = f"SELECT value FROM entries WHERE key = :key AND (ends IS NULL OR NOT {_ENDED})"  # noqa: S608 - a constant
_OF_PREFIX = f"key >= :first AND key < :last AND (ends IS NULL OR NOT {_ENDED})"
_GET_MANY = f"SELECT key, value FROM entries WHERE {_OF_PREFIX} ORDER BY key"  # noqa: S608 - a constant


class SqliteStore:
    """An implementation of `service.replicas.store.Store`.

    Args:
        path: of the file; created with its folder by the first call.
        clock: seconds since 1970.
    """

    is_shared = True

    def __init__(self, path: Path, clock: Callable[[], float] = time) -> None:
        self.name = f"SQLite at {path}"
        self._path = path
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._pool = BlockingPool("store", 1, CALL_SECONDS)

    async def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """Set a value."""
        await self._write(lambda connection: self._put(connection, key, value, ttl))

    async def get(self, key: str) -> bytes | None:
        """Returns a value; None if there is none."""
        return await self._read(lambda connection: self._get(connection, key))

    async def get_many(self, prefix: str) -> dict[str, bytes]:
        """Returns the values of all keys that begin with the prefix, by key, sorted."""
        limits = {"first": prefix, "last": prefix + "\U0010ffff"}
        return await self._read(
            lambda connection: dict(connection.execute(_GET_MANY, {**limits, "now": self._clock()}).fetchall())
        )

    async def delete(self, key: str) -> None:
        """Delete a value, if it exists."""
        await self._write(lambda connection: connection.execute("DELETE FROM entries WHERE key = ?", (key,)))

    async def compare_and_set(self, key: str, revision: Revision, value: bytes, ttl: float | None = None) -> bool:
        """Set a value unless it has changed. Returns whether the value is now the new one."""

        def change(connection: sqlite3.Connection) -> bool:
            current = self._get(connection, key)
            if current != value and revision_of(current) != revision:
                return False
            self._put(connection, key, value, ttl)
            return True

        return await self._write(change)

    async def lease(self, name: str, holder: str, ttl: float) -> bool:
        """Acquire a lease, or renew it. Returns whether the holder has it."""

        def acquire(connection: sqlite3.Connection) -> bool:
            now = self._clock()
            others = f"SELECT 1 FROM leases WHERE name = :name AND holder != :holder AND NOT {_ENDED}"  # noqa: S608
            if connection.execute(others, {"name": name, "holder": holder, "now": now}).fetchone():
                return False
            connection.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?)", (name, holder, now + ttl, ttl))
            return True

        return await self._write(acquire)

    async def release(self, name: str, holder: str) -> None:
        """End a lease, if the holder has it."""
        await self._write(
            lambda connection: connection.execute("DELETE FROM leases WHERE name = ? AND holder = ?", (name, holder))
        )

    async def publish(self, channel: str, message: bytes) -> None:
        """Send a message to all who subscribe to the channel now. Deletes what has ended as well."""

        def send(connection: sqlite3.Connection) -> None:
            now = self._clock()
            connection.execute("DELETE FROM messages WHERE NOT sent BETWEEN ? AND ?", (now - KEPT_SECONDS, now))
            connection.execute(f"DELETE FROM entries WHERE {_ENDED}", {"now": now})  # noqa: S608
            connection.execute(
                "INSERT INTO messages (channel, message, sent) VALUES (?, ?, ?)", (channel, message, now)
            )

        await self._write(send)

    @asynccontextmanager
    async def subscribe(self, channel: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yields the messages of a channel that are published within the block."""
        first = await self._read(_last_message)

        async def messages() -> AsyncIterator[bytes]:
            last = first
            while True:
                for number, message in await self._read(partial(_messages_after, channel=channel, last=last)):
                    last = number
                    yield message
                await asyncio.sleep(POLL_SECONDS)

        yield messages()

    async def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            await self._run(self._connection.close)
            self._connection = None

    def _put(self, connection: sqlite3.Connection, key: str, value: bytes, ttl: float | None) -> None:
        connection.execute(_PUT, {"key": key, "value": value, "now": self._clock(), "ttl": ttl})

    def _get(self, connection: sqlite3.Connection, key: str) -> bytes | None:
        found = connection.execute(_GET, {"key": key, "now": self._clock()}).fetchone()
        return None if found is None else bytes(found[0])

    async def _read(self, read: Callable[[sqlite3.Connection], Result]) -> Result:
        return await self._run(lambda: read(self._connected()))

    async def _write(self, change: Callable[[sqlite3.Connection], Result]) -> Result:
        """Change the file in one transaction."""

        def transact() -> Result:
            connection = self._connected()
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = change(connection)
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise
            return result

        return await self._run(transact)

    async def _run(self, work: Callable[[], Result]) -> Result:
        """Call the function in the store's thread."""
        try:
            return await self._pool.run("use it", work)
        except (DengeError, sqlite3.Error) as error:
            raise StoreUnavailable(f"the store ({self.name}) does not answer: {error}") from error

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = _open(self._path)
        return self._connection


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, LOCK_SECONDS, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.executescript(_TABLES)
    return connection


def _last_message(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence").fetchone()[0])


def _messages_after(connection: sqlite3.Connection, channel: str, last: int) -> list[tuple[int, bytes]]:
    return connection.execute(
        "SELECT id, message FROM messages WHERE channel = ? AND id > ? ORDER BY id", (channel, last)
    ).fetchall()
