"""What replicas share besides the repository: small values, leases and announcements.

Every call may be repeated after a lost answer: it then changes nothing more. A message announces that something has
changed, and may be lost or come twice. What has changed is in the values, so a replica also reads them periodically.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from hashlib import sha1
from typing import Protocol

from models.errors import StorageError

Revision = str
"""Of a value: its digest, so that equal values have the same one. `ABSENT` where there is no value."""

ABSENT: Revision = ""


class StoreUnavailable(StorageError):
    """The store does not answer, or refuses. The message names it."""


def revision_of(value: bytes | None) -> Revision:
    """Returns the revision of a value; of no value, `ABSENT`."""
    return ABSENT if value is None else sha1(value, usedforsecurity=False).hexdigest()


class Store(Protocol):
    """Values by key, leases, and messages to all replicas. Belongs to one event loop.

    All methods raise `StoreUnavailable`.
    """

    @property
    def name(self) -> str:
        """What the store is and where, for messages."""

    @property
    def is_shared(self) -> bool:
        """Whether other processes may use it."""

    async def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """Set a value.

        Args:
            key: of the value.
            value: replaces the last one.
            ttl: seconds until it is deleted; None keeps it.
        """

    async def get(self, key: str) -> bytes | None:
        """Returns a value; None if there is none."""

    async def get_many(self, prefix: str) -> dict[str, bytes]:
        """Returns the values of all keys that begin with the prefix, by key, sorted."""

    async def delete(self, key: str) -> None:
        """Delete a value, if it exists."""

    async def compare_and_set(self, key: str, revision: Revision, value: bytes, ttl: float | None = None) -> bool:
        """Set a value unless it has changed.

        Args:
            key: of the value.
            revision: that the value must have; `ABSENT` where there must be none.
            value: the new one.
            ttl: seconds until it is deleted; None keeps it.

        Returns:
            Whether the value is now the new one. Of two who set an equal value, both have: a value that has to show
            who set it names them.
        """

    async def lease(self, name: str, holder: str, ttl: float) -> bool:
        """Acquire a lease, or renew it.

        Args:
            name: of the lease.
            holder: who acquires it.
            ttl: seconds after which it ends unless it is renewed.

        Returns:
            Whether the holder has it; False while another one has.
        """

    async def release(self, name: str, holder: str) -> None:
        """End a lease, if the holder has it."""

    async def publish(self, channel: str, message: bytes) -> None:
        """Send a message to all who subscribe to the channel now."""

    def subscribe(self, channel: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Yields the messages of a channel that are published within the block."""

    async def close(self) -> None:
        """Close the connections."""
