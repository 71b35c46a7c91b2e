"""Memory that the process has freed but the system has not got back."""

import asyncio
import ctypes
import threading
from contextlib import AbstractContextManager, ExitStack, suppress

from models.memory import release_freed
from service.host.huge_pages import huge_pages

_SOON_SECONDS = 1.0

_KEPT_BYTES = 16 << 20
_MAPPED_BYTES = 4 << 20
_ALL_BYTES = (1 << 31) - 1
"""The largest number that glibc takes."""
_MAPPED_BLOCKS = 65536
"""At most, as glibc has it by default."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8
"""Of glibc's malloc.h."""


def keep_freed() -> None:
    """Keep some freed memory for the next requests, if the C library is glibc.

    The bodies of the requests that arrive together are freed together. By default, glibc returns more than a few
    hundred kilobytes to the system at once, which then clears as many pages for the next bodies: a fifth of what a
    large body costs. `release_freed` returns what is kept here.
    """
    _set_option(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    _set_option(_M_MMAP_THRESHOLD, _MAPPED_BYTES)


class _ReusingAllFreed:
    """Several threads may be in this context: the first one enters it, the last one leaves it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads = 0
        self._entered = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._threads:
                _set_option(_M_TRIM_THRESHOLD, _ALL_BYTES)
                _set_option(_M_MMAP_MAX, 0)
                self._entered.enter_context(huge_pages())
            self._threads += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._threads -= 1
            if not self._threads:
                self._entered.close()
                _set_option(_M_MMAP_MAX, _MAPPED_BLOCKS)
                keep_freed()
                release_freed()


_REUSING_ALL_FREED = _ReusingAllFreed()


def reusing_all_freed() -> AbstractContextManager[None]:
    """Keep all freed memory until the end, in huge pages where there are some, if the C library is glibc.

    onnxruntime copies the weights several times while it opens a session. To clear the pages of the copies takes the
    system twice as long as all else takes onnxruntime. Copies in memory that has been freed need no new pages.
    """
    return _REUSING_ALL_FREED


def share_freed() -> None:
    """Let the threads that start from now on use the memory that others have freed, if the C library is glibc.

    By default, most have an arena of their own, and what was freed in it stays there.
    """
    _set_option(_M_ARENA_MAX, 1)


def _set_option(option: int, value: int) -> None:
    with suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL(None).mallopt(option, value)


def release_freed_soon() -> None:
    """Do so in a thread, when what is about to be freed has been."""
    loop = asyncio.get_running_loop()
    loop.call_later(_SOON_SECONDS, loop.run_in_executor, None, release_freed)
