"""Memory that is shared between clients, in fair shares.

A client may hold as much as is left free for others, and no more: one client alone gets half of the budget, two get a
third each, n get 1 / (n + 1) each. So a new client always finds some of it, and nobody has to wait for a share:
dynamic thresholds, as packet switches use them for their buffers (Choudhury and Hahne, 1998).
"""

from collections.abc import Callable

WORTH_RETURNING_BYTES = 32 << 20
"""Less than this is kept by the process for its next requests."""


class MemoryBudget:
    """Counts the bytes that clients hold.

    Args:
        limit: bytes that all clients may hold together. A client that is alone may hold half of it.
        on_idle: called when nothing is held any more, after much was.
    """

    def __init__(self, limit: int, on_idle: Callable[[], None] = lambda: None) -> None:
        self._limit = limit
        self._on_idle = on_idle
        self._held: dict[str, int] = {}
        self._used = 0
        self._peak = 0

    @property
    def used(self) -> int:
        """Bytes held now."""
        return self._used

    def take(self, client: str, size: int) -> bool:
        """Count bytes of a client, unless that is more than its share. Returns whether they are counted."""
        held, used = self._held.get(client, 0) + size, self._used + size
        if held > self._limit - used:
            return False
        self._held[client], self._used = held, used
        self._peak = max(self._peak, used)
        return True

    def give_back(self, client: str, size: int) -> None:
        """Count bytes of a client no more."""
        self._used -= size
        held = self._held[client] - size
        if held:
            self._held[client] = held
        else:
            del self._held[client]
        if not self._used and self._peak >= WORTH_RETURNING_BYTES:
            self._peak = 0
            self._on_idle()


class Reservation:
    """Memory of one request at a time, until it is released.

    Args:
        budget: of which it is a part.

    Attributes:
        size: bytes that are held.
    """

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._client = ""
        self.size = 0

    def grow(self, client: str, size: int) -> bool:
        """Hold at least so many bytes for the client with this identity, the same one until they are released.

        Returns:
            Whether the client's share has room for them.
        """
        more = size - self.size
        if more > 0:
            if not self._budget.take(client, more):
                return False
            self._client, self.size = client, size
        return True

    def release(self) -> None:
        """Hold nothing any more."""
        if self.size:
            self._budget.give_back(self._client, self.size)
            self.size = 0
