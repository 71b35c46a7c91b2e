"""Only the thread that asks for it gets a lower priority."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.host import priority


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux only")
def test_only_the_thread_that_asks_for_it_gets_a_lower_priority() -> None:
    before = niceness()
    with ThreadPoolExecutor(1, initializer=priority.lower_this_thread) as lowered:
        assert lowered.submit(niceness).result(timeout=60) == max(before, 10)
    assert niceness() == before
