"""The lock on a folder."""

import fcntl
import os
from pathlib import Path

import pytest

from models.errors import StorageError
from models.repository.folder_lock import locked


def test_a_lock_excludes_others_until_it_is_released(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with locked(tmp_path), pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)


def test_a_lock_of_another_process_is_waited_for_only_so_long(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(StorageError, match="has been locked by another process for 0 s"), locked(tmp_path, 0):
            pytest.fail("two held the lock")
    finally:
        os.close(descriptor)
    with locked(tmp_path, 0):
        pass
