"""Runs go on side by side, and captures alone."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from models.runtime.device import Device

LIMIT = 10.0


class User(threading.Thread):
    """Uses a device until it is told to end."""

    def __init__(self, use: Callable[[], AbstractContextManager[None]]) -> None:
        super().__init__(daemon=True)
        self._use = use
        self.began, self.end = threading.Event(), threading.Event()
        self.start()

    def run(self) -> None:
        with self._use():
            self.began.set()
            assert self.end.wait(LIMIT)

    def finish(self) -> None:
        self.end.set()
        self.join(LIMIT)
        assert not self.is_alive()


def wait_for_capture(device: Device) -> None:
    """Until a capture waits: it is counted before it does."""
    while not device.captures:
        threading.Event().wait(0.001)


def test_runs_go_on_side_by_side() -> None:
    device = Device()
    users = [User(device.run) for _ in range(3)]

    assert all(user.began.wait(LIMIT) for user in users)
    for user in users:
        user.finish()


def test_a_capture_waits_for_runs_and_later_runs_wait_for_it() -> None:
    device = Device()
    run = User(device.run)
    assert run.began.wait(LIMIT)
    capture = User(device.capture)
    wait_for_capture(device)
    later = User(device.run)
    assert not capture.began.is_set()

    run.finish()

    assert capture.began.wait(LIMIT)
    assert not later.began.is_set()
    capture.finish()
    assert later.began.wait(LIMIT)
    later.finish()
