"""The process's table of open files."""

import os
import resource
from contextlib import suppress

ROOM = 4096
"""Open files and connections that the table has room for from the start: 32 KiB of memory."""


def make_room() -> None:
    """Make room for connections, before there are threads.

    Linux doubles a full table. In a process with threads, who needs the next descriptor then waits until every
    processor has let go of the old one: the event loop, 8 to 25 milliseconds, as it accepts a connection.
    """
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = (ROOM if most == resource.RLIM_INFINITY else min(ROOM, most)) - 1
    with suppress(OSError):  # nothing fails for want of room
        descriptor = os.open(os.devnull, os.O_RDONLY)
        try:
            os.dup2(descriptor, highest, inheritable=False)
            os.close(highest)
        finally:
            os.close(descriptor)
