"""Memory that is kept for the next requests."""

import platform
import subprocess
import sys

import pytest

ROUNDS = """
import resource
from service.host import memory
{before}
for count in range(12):
    blocks = [bytearray(200_000) for _ in range(32)]
    del blocks
    if count == 1:
        begun = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begun)
"""


def page_faults(before: str) -> int:
    """Of ten rounds in which 6 MB of bodies are held and freed."""
    command = [sys.executable, "-c", ROUNDS.format(before=before)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_the_memory_of_one_round_of_bodies_is_that_of_the_next() -> None:
    assert page_faults("memory.keep_freed()") < 200
    assert page_faults("") > 2000


ONE_AFTER_THE_OTHER = """
import resource
from contextlib import nullcontext
from service.host import memory
memory.keep_freed()
with {context}:
    for count in range(3):
        block = bytearray(24 << 20)
        del block
        if count == 0:
            begun = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begun)
print(int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() >> 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_while_models_are_loaded_all_freed_memory_is_used_again_and_then_returned() -> None:
    def run(context: str) -> tuple[int, int]:
        """Page faults of two blocks after the first, and MiB that the process has afterwards."""
        command = [sys.executable, "-c", ONE_AFTER_THE_OTHER.format(context=context)]
        faults, resident = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        return int(faults), int(resident)

    reused, usual = run("memory.reusing_all_freed()"), run("nullcontext()")

    assert reused[0] < 200
    assert usual[0] > 2000
    assert reused[1] < usual[1] + 4
