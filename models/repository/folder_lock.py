"""The lock on a folder that several processes change."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from models.durable_files import open_folder
from models.errors import StorageError

LOCK_SECONDS = 5.0
"""How long to wait for a lock that another process holds."""

_PAUSE_SECONDS = 0.02


@contextmanager
def locked(folder: Path, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the exclusive lock on a folder; wait for it first. Released by the system if the process dies.

    Args:
        folder: exists.
        seconds: how long to wait.

    Raises:
        StorageError: another process has held the lock all the time.
    """
    descriptor = open_folder(folder)
    try:
        _lock(descriptor, folder, seconds)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path, seconds: float) -> None:
    deadline = monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() >= deadline:
                raise StorageError(f"'{folder.name}' has been locked by another process for {seconds:g} s") from None
            sleep(_PAUSE_SECONDS)
        else:
            return
