"""A real Valkey or Redis server for tests, on a unix socket."""

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest

PROGRAM = shutil.which("valkey-server") or shutil.which("redis-server")
START_SECONDS = 30.0


class Server:
    """A server that keeps nothing on a disk, which tests may kill and start again."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.path = folder / "valkey.sock"
        self.url = f"unix://{self.path}"
        self._arguments = (*arguments, "--dir", str(folder))

    def start(self) -> None:
        """Start; return when it accepts connections."""
        assert PROGRAM is not None
        self._process = subprocess.Popen(
            [PROGRAM, "--port", "0", "--unixsocket", str(self.path), "--save", "", *self._arguments],
            stdout=subprocess.DEVNULL,
        )
        deadline = monotonic() + START_SECONDS
        while not self._accepts():
            assert self._process.poll() is None, "the server has ended"
            assert monotonic() < deadline, f"the server accepts no connection within {START_SECONDS} s"
            sleep(0.005)

    def kill(self) -> None:
        """End it as a crash does."""
        self._process.kill()
        self._process.wait(START_SECONDS)

    def _accepts(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.path)) == 0


@contextmanager
def running(*arguments: str) -> Iterator[Server]:
    """A server until the end of the block; the test is skipped where none is installed."""
    if PROGRAM is None:
        pytest.skip("neither valkey-server nor redis-server is installed")
    with tempfile.TemporaryDirectory() as folder:  # not below `tmp_path`: a socket's path is short
        server = Server(Path(folder), *arguments)
        server.start()
        try:
            yield server
        finally:
            server.kill()
