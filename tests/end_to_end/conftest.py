"""The service as its users run it: a process of its own, on a real socket."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

ROOT = Path(__file__).parents[2]
with_workers = pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
TIMEOUT_SECONDS = 60
"""Longer than anything here takes; nothing waits for it to pass."""


@dataclass(frozen=True)
class Process:
    """A service that has said where it serves."""

    popen: subprocess.Popen[str]
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def stop(self) -> int:
        """Ask it to stop, and return its exit code."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(TIMEOUT_SECONDS)


def environment(**variables: str) -> dict[str, str]:
    """This environment without settings of Denge but those given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DENGE_")}
    # No trials, which only take time here; `test_hostile` has them.
    return {**kept, "PYTHONPATH": str(ROOT), "DENGE_LOAD_SECONDS": "0", **variables}


@contextmanager
def running(
    repository: Path | str,
    *arguments: str,
    stderr: IO[str] | None = None,
    cwd: Path | None = None,
    user: int | None = None,
    **variables: str,
) -> Iterator[Process]:
    """A service over this repository, killed at the end where it has not stopped by then. Its log goes to `stderr`.

    A repository that is no folder needs another folder to start in, `cwd`. Only root starts it as another user, who is
    in root's group, as platforms with random users have it.
    """
    command = [sys.executable, "-m", "service", "--port", "0", "--repository", str(repository), *arguments]
    # In the repository's folder: the service must not depend on where it is started.
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env=environment(**variables),
        cwd=cwd or Path(repository).parent,
        user=user,
        group=None if user is None else 0,
        extra_groups=None if user is None else [],
    ) as popen:
        try:
            assert popen.stdout is not None
            announced = popen.stdout.readline()
            assert announced.startswith("Denge serves on "), announced
            yield Process(popen, announced.split()[-1])
        finally:
            if popen.poll() is None:
                popen.kill()


@pytest.fixture(scope="session")
def starters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service that was started for the first time: an empty repository, filled with the starter models."""
    with running(tmp_path_factory.mktemp("starters") / "repository") as process:
        yield process
        assert process.stop() == 0
