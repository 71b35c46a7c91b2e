"""Files that survive a restart: each is replaced as a whole, and nothing half-written is left behind."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

_STAGED = ".staged"


def replace_file(path: Path, data: bytes) -> None:
    """Create or replace a file by one rename, once its content is on the disk.

    Raises:
        OSError: it cannot be written; the file is as it was.
    """
    staged = path.with_name(f".{path.name}{_STAGED}")
    try:
        with staged.open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            staged.replace(path)
    except OSError:
        with suppress(OSError):
            staged.unlink(missing_ok=True)
        raise


def delete_staged(folder: Path) -> None:
    """Delete what dead processes have left half-written."""
    for staged in folder.glob(f".*{_STAGED}"):
        with suppress(OSError), staged.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            staged.unlink(missing_ok=True)
