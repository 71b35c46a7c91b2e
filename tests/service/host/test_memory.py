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
