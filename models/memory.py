"""Memory that the process has freed but the system has not got back."""

import ctypes
from contextlib import suppress
from mmap import MADV_DONTNEED, mmap

from models.stored_graph import Weights


def release_freed() -> None:
    """Return freed memory to the system, if the C library is glibc.

    A session takes several times the size of its model for a moment, and glibc keeps what was freed.
    """
    with suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


def release_pages(weights: Weights) -> None:
    """Drop the pages of weights that are mapped from files: the next reader has them read again."""
    for content in weights.values():
        if isinstance(content, mmap):
            content.madvise(MADV_DONTNEED)
