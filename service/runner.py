"""Runs models off the event loop, a bounded number at a time."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

from numpy.typing import NDArray

from models.errors import Overloaded
from service.catalog import Served
from service.metrics import Metrics

Array = NDArray[Any]


class Runner:
    """A pool of threads with a bounded queue in front. onnxruntime lets go of the interpreter while it computes.

    Args:
        metrics: where runs are counted.
        concurrency: runs at the same time.
        max_pending: requests that may wait or run; more are refused at once rather than answered too late.
    """

    def __init__(self, metrics: Metrics, concurrency: int, max_pending: int) -> None:
        self._metrics = metrics
        self._max_pending = max_pending
        self._pending = 0
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="run")

    async def run(self, served: Served, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs of a model, by name.

        Raises:
            Overloaded: too many requests wait already.
            InferenceFailed: the runtime broke on these inputs.
        """
        if self._pending >= self._max_pending:
            raise Overloaded(f"{self._pending} requests are waiting already: try again later")
        self._pending += 1
        self._metrics.pending.set(self._pending)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._run, served, inputs)
        finally:
            self._pending -= 1
            self._metrics.pending.set(self._pending)

    def close(self) -> None:
        """Wait for what runs, refuse what comes."""
        self._pool.shutdown()

    def _run(self, served: Served, inputs: Mapping[str, Array]) -> dict[str, Array]:
        labels = (served.model, str(served.version))
        start = perf_counter()
        try:
            outputs = served.engine.run(inputs)
        except Exception:
            self._metrics.inferences.labels(*labels, "failure").inc()
            raise
        self._metrics.inference_seconds.labels(*labels).observe(perf_counter() - start)
        self._metrics.inferences.labels(*labels, "success").inc()
        self._metrics.rows.labels(*labels).inc(len(next(iter(inputs.values()))))
        return outputs
