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
        block = bytearray(48 << 20)
        del block
        {after_each}
        if count == 0:
            begun = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begun)
print(int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() >> 20)
"""


def faults_and_size(context: str, after_each: str = "") -> tuple[int, int]:
    """Page faults of two blocks after the first, and MiB that the process has afterwards."""
    command = [sys.executable, "-c", ONE_AFTER_THE_OTHER.format(context=context, after_each=after_each)]
    faults, resident = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return int(faults), int(resident)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_while_models_are_loaded_all_freed_memory_is_used_again_and_then_returned() -> None:
    reused, usual = faults_and_size("memory.reusing_all_freed()"), faults_and_size("nullcontext()")

    assert reused[0] < 200
    assert usual[0] > 20_000
    assert reused[1] < usual[1] + 4


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_freed_memory_is_kept_until_the_last_of_several_is_done() -> None:
    one_ends = "memory.reusing_all_freed().__enter__(); memory.reusing_all_freed().__exit__()"
    last_ends = f"{one_ends}; memory.reusing_all_freed().__exit__()"

    assert faults_and_size("memory.reusing_all_freed()", one_ends)[0] < 200
    assert faults_and_size("memory.reusing_all_freed()", last_ends)[0] > 10_000
