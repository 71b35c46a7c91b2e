"""A process of ours, from its own side: it carries out one order of the service in the background, and ends with it."""

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO, TypeVar

_NICENESS = 15

Order = TypeVar("Order")


def receive_order(read: Callable[[IO[bytes]], Order]) -> Order:
    """Take a low priority, and return the order from standard input.

    Standard input stays open as long as the service wants the result. When it ends, this process exits: so it is to
    leave by `os._exit`, since `sys.exit` would wait for the thread that reads on, and end by SIGABRT.

    Args:
        read: reads the order, and raises ValueError where the input ends early, as the service has ended.
    """
    with suppress(OSError):
        os.nice(_NICENESS)
    try:
        order = read(sys.stdin.buffer)
    except ValueError:
        sys.exit(1)
    threading.Thread(target=_exit_with_service, args=(sys.stdin.buffer,), daemon=True).start()
    return order


def _exit_with_service(service: IO[bytes]) -> None:
    service.read(1)
    os._exit(1)
