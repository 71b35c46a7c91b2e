"""A process that has begun to stop ends in time."""

import subprocess
import sys

from service.host.lifecycle import FORCED_EXIT

HANGING = """
import threading
from service.host.lifecycle import Lifecycle
threading.Thread(target=threading.Event().wait, name="hanging").start()
lifecycle = Lifecycle()
lifecycle.stop(0)
assert lifecycle.stopping
"""


def test_a_process_that_hangs_ends_in_time_and_says_what_hangs() -> None:
    ended = subprocess.run([sys.executable, "-c", HANGING], timeout=60, capture_output=True, text=True)

    assert ended.returncode == FORCED_EXIT, ended.stderr
    assert "stopped_by_force" in ended.stdout
    assert "hanging" in ended.stdout
