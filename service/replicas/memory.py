"""The store of a replica that serves alone: its own memory."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic

from service.replicas.store import Revision, revision_of

MAX_UNREAD = 1024
"""Messages that a subscriber has not read; further ones are lost to it."""


class MemoryStore:
    """An implementation of `service.replicas.store.Store`. Replicas of a test may share one.

    Args:
        clock: seconds, never going back.
    """

    name = "memory"
    is_shared = False

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._values: dict[str, tuple[bytes, float | None]] = {}
        self._leases: dict[str, tuple[str, float]] = {}
        self._subscribers: defaultdict[str, set[asyncio.Queue[bytes]]] = defaultdict(set)

    async def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """Set a value."""
        self._values[key] = value, None if ttl is None else self._clock() + ttl

    async def get(self, key: str) -> bytes | None:
        """Returns a value; None if there is none."""
        value, ends = self._values.get(key, (None, None))
        if ends is not None and ends <= self._clock():
            del self._values[key]
            return None
        return value

    async def get_many(self, prefix: str) -> dict[str, bytes]:
        """Returns the values of all keys that begin with the prefix, by key, sorted."""
        keys = sorted(key for key in self._values if key.startswith(prefix))
        return {key: value for key in keys if (value := await self.get(key)) is not None}

    async def delete(self, key: str) -> None:
        """Delete a value, if it exists."""
        self._values.pop(key, None)

    async def compare_and_set(self, key: str, revision: Revision, value: bytes, ttl: float | None = None) -> bool:
        """Set a value unless it has changed. Returns whether the value is now the new one."""
        current = await self.get(key)
        if current != value and revision_of(current) != revision:
            return False
        await self.put(key, value, ttl)
        return True

    async def lease(self, name: str, holder: str, ttl: float) -> bool:
        """Acquire a lease, or renew it. Returns whether the holder has it."""
        other, ends = self._leases.get(name, (holder, 0.0))
        if other != holder and ends > self._clock():
            return False
        self._leases[name] = holder, self._clock() + ttl
        return True

    async def release(self, name: str, holder: str) -> None:
        """End a lease, if the holder has it."""
        if self._leases.get(name, ("", 0.0))[0] == holder:
            del self._leases[name]

    async def publish(self, channel: str, message: bytes) -> None:
        """Send a message to all who subscribe to the channel now."""
        for unread in self._subscribers[channel]:
            with suppress(asyncio.QueueFull):
                unread.put_nowait(message)

    @asynccontextmanager
    async def subscribe(self, channel: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yields the messages of a channel that are published within the block."""
        unread: asyncio.Queue[bytes] = asyncio.Queue(MAX_UNREAD)

        async def messages() -> AsyncIterator[bytes]:
            while True:
                yield await unread.get()

        self._subscribers[channel].add(unread)
        try:
            yield messages()
        finally:
            self._subscribers[channel].discard(unread)

    async def close(self) -> None:
        """Do nothing: there are no connections."""
