"""Files and folders that are complete or not there, whatever ends the process: one rename publishes what is staged."""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.stored_graph import Content

_STAGING = ".incoming-"


def sync(folder: Path) -> None:
    """Make the names in a folder durable: renames and new files survive a power cut only after this."""
    descriptor = open_folder(folder)
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
        OSError: it cannot be written. It has the name of the file, also where the disk is full.
    """
    try:
        with file.open("xb") as written:
            written.write(data)
            written.flush()
            os.fsync(written.fileno())
    except OSError as error:
        # Opening a file names it in the error, writing does not.
        raise OSError(error.errno, error.strerror, str(file)) from error


def replace_file(file: Path, data: bytes, root: Path | None = None) -> None:
    """Create or replace a file: a kill or a power cut at any point leaves the old content or the new one.

    Args:
        file: in a folder that exists. Several processes may replace it at once: the last one wins.
        data: its content.
        root: the folder in which it is staged, on the same file system; the file's own by default.

    Raises:
        OSError: it cannot be written.
    """
    with staging(root or file.parent) as staged:
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
def staging(root: Path) -> Iterator[Path]:
    """A new hidden folder below `root`, on the same file system; deleted afterwards.

    Its owner holds a lock on it. Folders without one were left by processes that died, and are deleted first.

    Raises:
        OSError: it cannot be made.
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
            descriptor = open_folder(folder)
        except OSError:  # another process deleted it first
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)


def open_folder(folder: Path) -> int:
    """A descriptor of a folder, to sync or to lock it. The caller closes it."""
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)


def _make_locked(root: Path) -> tuple[Path, int]:
    while True:
        folder = root / f"{_STAGING}{secrets.token_hex(8)}"
        folder.mkdir()
        try:
            descriptor = open_folder(folder)
        except FileNotFoundError:
            continue  # another process took it for abandoned, and deleted it
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if folder.exists():
                return folder, descriptor
        except BlockingIOError:  # it is being deleted
            pass
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)
