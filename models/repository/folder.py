"""Folders that several processes change at once: durable names, locks, and staging of what one rename publishes."""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from models.errors import StorageError
from models.stored_graph import Content

LOCK_SECONDS = 5.0
"""How long to wait for a lock that another process holds."""

_LOCK_PAUSE_SECONDS = 0.02
_STAGING = ".incoming-"


def sync(folder: Path) -> None:
    """Make the names in a folder durable: renames and new files survive a power cut only after this."""
    descriptor = _open(folder)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder that does not exist, and those above it, with durable names."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def write_file(file: Path, data: Content) -> None:
    """Write a new file, and return only when its content is on the disk itself.

    Raises:
        FileExistsError: there is one already.
    """
    with file.open("xb") as written:
        written.write(data)
        written.flush()
        os.fsync(written.fileno())


def replace_file(file: Path, data: bytes, root: Path) -> None:
    """Create or replace a file: a kill or a power cut at any point leaves the old content or the new one.

    Args:
        file: in a folder that exists.
        data: its content.
        root: the folder in which it is staged, on the same file system.
    """
    with staging(root) as staged:
        write_file(staged / file.name, data)
        (staged / file.name).rename(file)
    sync(file.parent)


def delete_folder(folder: Path, root: Path) -> None:
    """Delete a folder: it becomes invisible by one rename, so that a kill during the deletion leaves no half of it.

    Args:
        folder: to delete.
        root: the folder in which it is hidden meanwhile, on the same file system.

    Raises:
        FileNotFoundError: there is no such folder; another process may have deleted it.
    """
    hidden = root / f"{_STAGING}{secrets.token_hex(8)}"
    folder.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


@contextmanager
def locked(folder: Path, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the exclusive lock on a folder; wait for it first. Released by the system if the process dies.

    Args:
        folder: exists.
        seconds: how long to wait.

    Raises:
        StorageError: another process has held the lock all the time.
    """
    descriptor = _open(folder)
    try:
        _lock(descriptor, folder, seconds)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def staging(root: Path) -> Iterator[Path]:
    """A new hidden folder below `root`, on the same file system; deleted afterwards.

    Its owner holds a lock on it. Folders without one were left by processes that died, and are deleted first.
    """
    delete_abandoned(root)
    folder, descriptor = _make_locked(root)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def delete_abandoned(root: Path) -> None:
    """Delete the staging folders below `root` that dead processes have left."""
    for folder in root.glob(f"{_STAGING}*"):
        try:
            descriptor = _open(folder)
        except OSError:  # another process deleted it first
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)


def _make_locked(root: Path) -> tuple[Path, int]:
    while True:
        folder = root / f"{_STAGING}{secrets.token_hex(8)}"
        folder.mkdir()
        try:
            descriptor = _open(folder)
        except FileNotFoundError:
            continue
        try:
            _lock(descriptor, folder, LOCK_SECONDS)
        except StorageError:
            os.close(descriptor)
            raise
        if folder.exists():
            return folder, descriptor
        os.close(descriptor)  # another process deleted the folder before it was locked


def _lock(descriptor: int, folder: Path, seconds: float) -> None:
    deadline = monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() >= deadline:
                raise StorageError(f"'{folder.name}' has been locked by another process for {seconds:g} s") from None
            sleep(_LOCK_PAUSE_SECONDS)
        else:
            return
