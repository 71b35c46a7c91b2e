"""Threads that do their work beside the answers."""

import os
import sys
import threading

_NICENESS = 10


def lower() -> None:
    """Let this thread come after those that answer, where the system knows priorities of threads."""
    if sys.platform == "linux":  # which takes the thread for a process here
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
