"""How long a re-calibration takes in a process of its own."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corruptions import corrupt
from benchmarks.recalibration.data import Data
from benchmarks.recalibration.network import Model
from models.repository.repository import Repository

TIMED = """
import time
began = time.perf_counter(), time.process_time()
import sys
from pathlib import Path
from typing import Any
import numpy as np
from models.recalibration.estimate import recalibrate
from models.repository.repository import Repository
imported = time.perf_counter()
repository = Repository(Path(sys.argv[1]))
parent = repository.read("convnet", 1)
candidate = recalibrate(parent, 1, {"input": np.load(sys.argv[2])})
repository.publish(candidate.publishable(), candidate=True)
print(imported - began[0], time.perf_counter() - imported, time.process_time())
"""


def timed(model: Model, data: Data) -> dict[str, Any]:
    """64 rows, from nothing to a published version in a new process on one core."""
    core = min(os.sched_getaffinity(0))
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.npy"
        np.save(rows, corrupt(data.pool[:64], "noise", 3))
        repository = Repository(Path(folder) / "repository")
        repository.publish(model.bundle)
        for _ in range(7):
            began = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", TIMED, str(repository.root), str(rows)],
                capture_output=True,
                text=True,
                check=True,
                preexec_fn=lambda: os.sched_setaffinity(0, {core}),
            )
            wall = time.perf_counter() - began
            imports, job, cpu = map(float, done.stdout.split())
            runs.append({"wall": wall, "imports": imports, "job": job, "cpu": cpu})
    found: dict[str, Any] = {"load": os.getloadavg()[0], "cores": os.cpu_count()} | {
        key: min(run[key] for run in runs) for key in runs[0]
    }  # what others left of the core
    print(found, flush=True)
    return found
