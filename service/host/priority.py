"""Priority of threads that work in the background."""

import os
import sys
import threading

_NICENESS = 10


def lower_this_thread() -> None:
    """Lower the priority of the calling thread below that of the threads that answer requests; on Linux only."""
    if sys.platform == "linux":  # where setpriority takes the id of a thread
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
