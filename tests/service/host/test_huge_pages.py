"""Huge pages for what the heap is about to hold."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

MODES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
ON_REQUEST = MODES.exists() and "[madvise]" in MODES.read_text(encoding="ascii")

FLAGS_OF_A_BLOCK = """
import ctypes
from service.host.huge_pages import huge_pages
ctypes.CDLL(None).mallopt(-4, 0)  # M_MMAP_MAX: everything is on the heap,
ctypes.CDLL(None).mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD: which stays as long as it has become

def flags(block):
    address, found = ctypes.addressof(ctypes.c_char.from_buffer(block)) + (1 << 20), False
    for line in open("/proc/self/smaps"):
        first, *fields = line.split()
        if "-" in first:
            start, end = (int(part, 16) for part in first.split("-"))
            found = start <= address < end
        elif found and first == "VmFlags:":
            return fields

before = bytearray(8 << 20)
with huge_pages():
    within = bytearray(8 << 20)
    print("hg" in flags(before), "hg" in flags(within))
print("hg" in flags(within), "nh" in flags(within))
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or not ON_REQUEST, reason="the system gives huge pages to all, or to none"
)
def test_what_is_allocated_within_is_in_huge_pages_and_no_more_of_them_are_made_afterwards() -> None:
    command = [sys.executable, "-c", FLAGS_OF_A_BLOCK]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

    assert printed == ["False", "True", "False", "True"]
