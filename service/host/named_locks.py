"""One lock for each name, with a limit on how long to wait for it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from models.errors import StorageError

LOCK_SECONDS = 8.0
"""Longer than the wait for a lock of another process, whose message says more."""


class NamedLocks:
    """Locks between the threads of one process.

    Args:
        what: the names name, for messages.
        seconds: how long to wait for a lock.
    """

    def __init__(self, what: str, seconds: float = LOCK_SECONDS) -> None:
        self._what = what
        self._seconds = seconds
        self._locks: dict[str, threading.Lock] = {}

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Hold the lock of a name.

        Raises:
            StorageError: another thread has held it all the time.
        """
        lock = self._locks.setdefault(name, threading.Lock())
        if not lock.acquire(timeout=self._seconds):
            raise StorageError(f"{self._what} '{name}' is being changed by another request: try again later")
        try:
            yield
        finally:
            lock.release()
