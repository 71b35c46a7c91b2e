"""How a process has ended, in words."""

import signal
import subprocess
import sys

import pytest

from service.host.process_exit import describe_exit


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("pass", "with exit code 0"),
        ("raise SystemExit(7)", "with exit code 7"),
        ("import os; os.abort()", "by SIGABRT"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "by SIGKILL"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGRTMIN + 6)", f"by signal {signal.SIGRTMIN + 6}"),
    ],
)
def test_the_end_of_a_process_is_named(program: str, words: str) -> None:
    ended = subprocess.run([sys.executable, "-S", "-c", program], check=False)

    assert describe_exit(ended.returncode) == words
