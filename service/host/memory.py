"""Memory that the process has freed but the system has not got back."""

import asyncio
import ctypes
from contextlib import suppress

_SOON_SECONDS = 1.0


def release_freed() -> None:
    """Return freed memory to the system, if the C library is glibc.

    Loading a model takes several times its size for a moment, and glibc keeps what was freed: for a ResNet-18 that is a
    third of the process.
    """
    with suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


def release_freed_soon() -> None:
    """Do so in a thread, when what is about to be freed has been."""
    loop = asyncio.get_running_loop()
    loop.call_later(_SOON_SECONDS, loop.run_in_executor, None, release_freed)
