"""How long two graphs take, run in turn on one core, so that other work on the machine meets both."""

import platform
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from models.datatypes import Arrays, Run
from models.manifest import Speed
from models.rows import count_rows
from models.runtime.load import load
from models.stored_graph import SerializedGraph

BATCHES = (1, 32)
"""Rows of the runs: a request alone, and a full batch."""

SECONDS = 1.0
"""Of runs for each batch, at most about twice as long."""

_MIN_PAIRS, _MAX_PAIRS = 5, 201


def measure_speed(
    parent: SerializedGraph, own: SerializedGraph, rows: Arrays, batches: Sequence[int] = BATCHES
) -> tuple[Speed, ...]:
    """The speeds of two serialized graphs, for each size of batch.

    Args:
        parent, own: the graphs.
        rows: for every input, shape (n, ...), at least one; they are repeated where a batch has more.
        batches: rows of the runs.

    Raises:
        GraphError: onnxruntime cannot load a graph, or cannot run it on the rows.
    """
    runs = [load(graph, optimize=True) for graph in (parent, own)]
    return tuple(_compare(runs, _batch(rows, count)) for count in batches)


def processor() -> str:
    """The name of the machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _compare(runs: Sequence[Run], batch: Arrays) -> Speed:
    for run in runs:
        run(batch)
    taken: list[tuple[float, float]] = []
    end = time.perf_counter() + SECONDS
    while len(taken) < _MIN_PAIRS or (len(taken) < _MAX_PAIRS and time.perf_counter() < end):
        order = (0, 1) if len(taken) % 2 else (1, 0)
        seconds = {which: _time(runs[which], batch) for which in order}
        taken.append((seconds[0], seconds[1]))
    parent, own = zip(*taken, strict=True)
    return Speed(
        rows=count_rows(batch),
        parent_ms=1e3 * median(parent),
        own_ms=1e3 * median(own),
        ratio=median(before / after for before, after in taken),
    )


def _time(run: Run, batch: Arrays) -> float:
    start = time.perf_counter()
    run(batch)
    return time.perf_counter() - start


def _batch(rows: Arrays, count: int) -> Arrays:
    return {name: values[np.arange(count) % len(values)] for name, values in rows.items()}
