"""Requests that share a run of the model: their inputs and outputs, and runs off the event loop."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
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


def join_inputs(requests: Sequence[Mapping[str, Array]]) -> Mapping[str, Array]:
    """The inputs of several requests, one behind the other."""
    return {name: np.concatenate([inputs[name] for inputs in requests]) for name in requests[0]}


def split_outputs(outputs: Outputs, rows: Sequence[int]) -> list[Outputs]:
    """The outputs of each request, from those of a joined run.

    Args:
        outputs: of the run, by name.
        rows: of each request.

    Raises:
        InferenceFailed: an output has another number of rows than all requests together.
    """
    if any(array.shape[:1] != (sum(rows),) for array in outputs.values()):
        raise InferenceFailed("an output has another number of rows than the inputs")
    ends = list(accumulate(rows))
    return [
        {name: array[end - count : end] for name, array in outputs.items()}
        for end, count in zip(ends, rows, strict=True)
    ]


def _run_joined(result: BatchResult, batch: Sequence[QueuedRequest]) -> list[Outputs]:
    rows = [request.rows for request in batch]
    outputs = _run(result, batch[0].served, join_inputs([request.inputs for request in batch]), sum(rows))
    return split_outputs(outputs, rows)


def _run(result: BatchResult, served: ServedVersion, inputs: Mapping[str, Array], rows: int) -> Outputs:
    start = perf_counter()
    try:
        outputs = served.engine.run(inputs)
    except Exception:
        result.failed_runs += 1
        raise
    result.runs.append((rows, perf_counter() - start))
    return outputs
