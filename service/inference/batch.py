"""Requests that share a run of the model, off the event loop."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from models.datatypes import Array
from models.errors import InferenceFailed
from service.catalog.served_version import ServedVersion
from service.inference.queue import Outputs, QueuedRequest


@dataclass
class BatchResult:
    """What the runs of one batch gave.

    Attributes:
        results: outputs or error of each request.
        runs: rows and seconds of each run of the model.
        failed_runs: runs that ended in an error.
        seconds: from the first run's beginning to the last one's end.
    """

    results: list[Outputs | Exception] = field(default_factory=list)
    runs: list[tuple[int, float]] = field(default_factory=list)
    failed_runs: int = 0
    seconds: float = 0.0


def run_batch(batch: Sequence[QueuedRequest]) -> BatchResult:
    """Run the requests together; where that fails, each by itself, so that one bad row fails alone. Never raises."""
    result = BatchResult()
    start = perf_counter()
    if len(batch) > 1:
        with suppress(Exception):  # whatever it was, no request may be left without an answer
            result.results += _run_joined(result, batch)
    if not result.results:
        for request in batch:
            try:
                result.results.append(_run(result, request.served, request.inputs, request.rows))
            except Exception as error:  # noqa: BLE001 - it is raised where the request is awaited
                result.results.append(error)
    result.seconds = perf_counter() - start
    return result


def _run_joined(result: BatchResult, batch: Sequence[QueuedRequest]) -> list[Outputs]:
    joined = {name: np.concatenate([request.inputs[name] for request in batch]) for name in batch[0].inputs}
    rows = sum(request.rows for request in batch)
    outputs = _run(result, batch[0].served, joined, rows)
    if any(len(array) != rows for array in outputs.values()):
        raise InferenceFailed("an output has another number of rows than the inputs")
    results: list[Outputs] = []
    start = 0
    for request in batch:
        results.append({name: array[start : start + request.rows] for name, array in outputs.items()})
        start += request.rows
    return results


def _run(result: BatchResult, served: ServedVersion, inputs: Mapping[str, Array], rows: int) -> Outputs:
    start = perf_counter()
    try:
        outputs = served.engine.run(inputs)
    except Exception:
        result.failed_runs += 1
        raise
    result.runs.append((rows, perf_counter() - start))
    return outputs
