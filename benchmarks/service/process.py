"""A server's processes: start them on one core, read what they use from /proc, end them all."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 60
STOP_SECONDS = 10


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running:
    """A server and everything that it starts, pinned to its core, until the `with` block is left.

    Args:
        command: what to run.
        core: on which everything runs; several as taskset reads them.
        environment: of the process.
        folder: in which it runs.
    """

    def __init__(self, command: Sequence[str], core: int | str, environment: Mapping[str, str], folder: Path) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            # Should this process be killed, the server is too.
            ["setpriv", "--pdeathsig", "KILL", "taskset", "--cpu-list", str(core), *command],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is ours alone; and a group that can be ended as one
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()

    def wait_until(self, ready: Callable[[], bool]) -> float:
        """Seconds from the start of the process until `ready` says so.

        Raises:
            RuntimeError: it ended, or took too long.
        """
        while not ready():
            waited = time.monotonic() - self._started
            if self._process.poll() is not None or waited > START_SECONDS:
                raise RuntimeError(f"no good answer in {waited:.0f} s; its output ends with\n{self._output()}")
            time.sleep(0.01)
        return time.monotonic() - self._started

    def cpu_seconds(self) -> float:
        """User and system time so far, of processes that have ended too."""
        return cpu_seconds(tree(self._process.pid))

    def rss_mib(self) -> float:
        return rss_mib(tree(self._process.pid))

    def wait_until_idle(self, seconds: float = 20) -> None:
        """Let it finish what nobody waits for: it must not be the next server's burden."""
        end = time.monotonic() + seconds
        used = self.cpu_seconds()
        while time.monotonic() < end:
            time.sleep(0.1)
            before, used = used, self.cpu_seconds()
            if used - before < 0.02:
                return

    def wait_until_alone(self, seconds: float = 30) -> None:
        """Let the processes that it has started end: what they make once is no part of a load."""
        end = time.monotonic() + seconds
        while len(tree(self._process.pid)) > 1 and time.monotonic() < end:
            time.sleep(0.1)

    def _output(self) -> str:
        self._log.seek(0)
        return self._log.read()[-2000:].decode(errors="replace")


def tree(root: int) -> list[int]:
    """A process and all of its descendants, by id."""
    children = defaultdict(list)
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (fields := _stat(int(folder.name))):
            children[int(fields[1])].append(int(folder.name))
    found = [root]
    for process in found:  # grows while it is gone through
        found += children[process]
    return found


def cpu_seconds(processes: Sequence[int]) -> float:
    # Fields 14 to 17 of proc(5): user and system time, own and of children that were waited for.
    return sum(int(field) for process in processes for field in _stat(process)[11:15]) / TICKS


def rss_mib(processes: Sequence[int]) -> float:
    """Resident memory; pages that processes share count once for each."""
    pages = sum(int(fields[21]) for process in processes if (fields := _stat(process)))
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _stat(process: int) -> list[str]:
    """/proc/<process>/stat from the third field on: the second, the name, may have spaces. Empty if it is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []
