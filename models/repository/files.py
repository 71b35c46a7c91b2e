"""Reads files that somebody else may have put where they are."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def read_file(path: Path, max_bytes: int) -> bytes:
    """The content of a regular file.

    Args:
        path: of the file. A link is refused: it could lead out of the repository.
        max_bytes: the most that is read.

    Raises:
        OSError: it cannot be read; it is a link, a pipe or a device, for example, or longer.
    """
    with open_file(path, max_bytes) as file:
        return file.read(os.fstat(file.fileno()).st_size)


@contextmanager
def open_file(path: Path, max_bytes: int) -> Iterator[BinaryIO]:
    """Open a regular file to read it; arguments and errors are those of `read_file`."""

    def open_now(name: str, flags: int) -> int:
        # Opening a pipe would wait for its other end.
        return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)

    with open(path, "rb", opener=open_now) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(None, "not a regular file")
        if found.st_size > max_bytes:
            raise OSError(None, f"{found.st_size} bytes long; at most {max_bytes} are read")
        yield file
