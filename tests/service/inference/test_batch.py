"""Requests that share a run, and what each of them gets."""

import asyncio

import numpy as np

from models.runtime.engine import Engine
from service.catalog.served_version import ServedVersion
from service.inference.batch import BatchResult, run_batch
from service.inference.queue import ModelQueue
from tests.bundles import text_bundle


def run_together(served: ServedVersion, *requests: np.ndarray) -> BatchResult:
    async def take() -> BatchResult:
        queue = ModelQueue()
        for rows in requests:
            queue.push(served, {"x": rows}, "client", 0)
        return run_batch(queue.take_batch(100))

    return asyncio.run(take())


def test_rows_that_the_graph_does_not_keep_apart_are_never_joined() -> None:
    """The manifest says that there is a batch, but how many rows come out depends on the values."""
    bundle = text_bundle("nonzero", "(float[N, 2] x) => (int64[K, 2] y) { t = NonZero(x) y = Transpose(t) }")
    assert bundle.manifest.is_batchable
    served = ServedVersion("nonzero", 1, bundle.manifest, Engine(bundle.folded, bundle.manifest.inputs))
    one, two = np.array([[1, 2]], np.float32), np.array([[0, 3]], np.float32)

    result = run_together(served, one, two)

    outputs = [outcome["y"].tolist() for outcome in result.results if not isinstance(outcome, Exception)]
    assert outputs == [[[0, 0], [0, 1]]], "the other request waits for a run of its own"


def test_rows_that_it_does_keep_apart_share_a_run() -> None:
    bundle = text_bundle("negative", "(float[N, 2] x) => (float[N, 2] y) { y = Neg(x) }")
    served = ServedVersion("negative", 1, bundle.manifest, Engine(bundle.folded, bundle.manifest.inputs))

    result = run_together(served, np.ones((2, 2), np.float32), np.zeros((1, 2), np.float32))

    assert [rows for rows, _ in result.runs] == [3]
    assert [len(outcome["y"]) for outcome in result.results if not isinstance(outcome, Exception)] == [2, 1]
