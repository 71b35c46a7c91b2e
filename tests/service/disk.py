"""Notices functions of the disk that are called on the event loop of a service, where everything else waits for them.

A service of a test has its event loop in a thread. That of the main thread is the test's own.
"""

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from models.repository.repository import Repository
from service.recalibrating.records import JobRecords
from service.watching import stored_observations

WATCHED: list[Any] = [Repository, JobRecords, stored_observations]
OURS = {"models", "service"}


def is_on_event_loop() -> bool:
    if threading.current_thread() is threading.main_thread():
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@contextmanager
def watched() -> Iterator[list[str]]:
    """The calls of what touches a disk, from our own code, on an event loop."""
    found: list[str] = []

    def watch(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            caller = inspect.stack(0)[1].frame if is_on_event_loop() else None
            if caller is not None and caller.f_globals["__name__"].partition(".")[0] in OURS:
                found.append(f"{function.__qualname__} by {caller.f_code.co_qualname}")
            return function(*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for owner in WATCHED:
            for name, function in inspect.getmembers(owner, inspect.isfunction):
                if not name.startswith("_") and function.__module__.partition(".")[0] in OURS:
                    patch.setattr(owner, name, watch(function))
        yield found
