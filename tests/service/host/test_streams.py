"""Streams that cannot be written."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from service.host import streams
from service.host.streams import MAX_UNWRITTEN_BYTES, Stream

LINE = b"x" * 999 + b"\n"


@pytest.fixture(params=["pipe", "socket"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """The end that is read, and the one that is written: blocking, as services get them."""
    with ExitStack() as stack:
        if request.param == "pipe":
            pair = os.pipe()
            for end in pair:
                stack.callback(os.close, end)
        else:
            sockets = socket.socketpair()
            pair = sockets[0].fileno(), sockets[1].fileno()
            for each in sockets:
                stack.enter_context(each)
        yield pair


def read_all(end: int) -> bytes:
    os.set_blocking(end, False)
    found = b""
    while True:
        try:
            found += os.read(end, 1 << 20)
        except BlockingIOError:
            return found


def test_what_nobody_reads_is_kept_within_bounds_then_dropped_and_counted(ends: tuple[int, int]) -> None:
    reading, writing = ends
    with os.fdopen(os.dup(writing), "wb", buffering=0) as file:
        stream = Stream(file)
        lines = 3 * MAX_UNWRITTEN_BYTES // len(LINE)

        for _ in range(lines):
            stream.write(LINE)  # would not return on a blocking descriptor

        assert stream.take_dropped() == 0  # not while others wait
        received = b""
        while more := read_all(reading):
            received += more
            stream.write(b"")
        dropped = stream.take_dropped()
        assert os.get_blocking(writing)
        stream.close()

    assert dropped > 0
    assert received == LINE * (lines - dropped)
    assert len(received) >= MAX_UNWRITTEN_BYTES - len(LINE)
    assert stream.take_dropped() == 0


def test_a_reader_that_has_ended_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as file:
        stream = Stream(file)
        stream.write(LINE)
        stream.close()


def test_a_full_disk_and_closed_files_are_no_error(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb", buffering=0) as file:
        stream = Stream(file)
        for _ in range(3):
            stream.write(LINE)
        stream.close()
    closed = (tmp_path / "log").open("wb", buffering=0)
    closed.close()

    for missing in (None, closed):
        Stream(missing).write(LINE)


def test_a_file_is_written_at_once(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab", buffering=0) as file:
        stream = Stream(file)
        stream.write(b"one\n")
        stream.write(b"two\n")

        assert (tmp_path / "log").read_bytes() == b"one\ntwo\n"
        stream.close()


def test_no_file_gets_the_number_of_a_standard_stream_that_was_closed() -> None:
    script = """
import os
from service.host import streams
for closed in (1, 2):
    os.close(closed)
streams.reserve_standard_streams()
assert [os.fstat(number) == os.stat(os.devnull) for number in (1, 2)], "they are /dev/null"
os._exit(os.open(os.devnull, os.O_RDONLY) - 3)
"""
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 0


def test_the_log_has_one_stream() -> None:
    assert streams.standard_error() is streams.standard_error()
