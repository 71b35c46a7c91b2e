"""numpy has no threads of its own in what serves: one for each core of the machine would be busy at every start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.host.cores import count_usable

THREADS = "import os, {module}; print(len(os.listdir('/proc/self/task')))"


def count_threads(module: str, **variables: str) -> int:
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    command = [sys.executable, "-c", THREADS.format(module=module)]
    found = subprocess.run(command, env=environment | variables, capture_output=True, text=True, check=True)
    return int(found.stdout)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="only Linux lists threads")
@pytest.mark.skipif(count_usable() == 1, reason="OpenBLAS has one thread on one core anyway")
def test_numpy_has_one_thread_unless_more_are_asked_for() -> None:
    assert count_threads("numpy") > 1, "nothing would have to be limited"

    assert count_threads("service.__main__, numpy") == 1
    assert count_threads("denge.__main__, numpy") == 1
    assert count_threads("service.__main__, numpy", OPENBLAS_NUM_THREADS="2") == 2
