"""An engine that opens a large graph on a CPU in less time, and does the rest of it later."""

import threading
from collections.abc import Sequence
from time import perf_counter

from models.manifest import TensorSpec
from models.rows import zeros
from models.runtime.engine import Engine
from models.stored_graph import SerializedGraph


class QuickEngine(Engine):
    """Runs one graph on a CPU, which `optimize` opens once more, with the weights laid out for the processor.

    Until then runs take longer, rows count as dependent on each other, so that no requests share a run, and the weights
    stay in memory as they were read.

    Args:
        graph, inputs, threads, run_seconds: as of `Engine`. The first axis of every input is the batch, with any number
            of rows.

    Raises:
        InferenceFailed, RunTooLong: as of `Engine`.
    """

    lays_out = False

    def __init__(
        self, graph: SerializedGraph, inputs: Sequence[TensorSpec], threads: int = 1, *, run_seconds: float = 60.0
    ) -> None:
        self._graph: SerializedGraph | None = graph
        self._inputs = inputs
        self._optimizing = threading.Lock()
        super().__init__(graph, inputs, threads=threads, run_seconds=run_seconds)

    def optimize(self) -> None:
        """Do the rest. Runs that have begun end as they are. Safe to call from any thread, and more than once.

        Raises:
            GraphError: onnxruntime cannot load the optimised graph; the other one stays.
            InferenceFailed, RunTooLong: it cannot be run.
        """
        with self._optimizing:
            if self._graph is not None:
                graph, self._graph = self._graph, None
                self._session = self._open(graph, lay_out=True)
                super()._prepare(self._inputs)

    def _prepare(self, inputs: Sequence[TensorSpec]) -> None:
        """Run one row, which shows that the graph can be run, and how long that takes."""
        start = perf_counter()
        self.run({spec.name: zeros(spec, 1) for spec in inputs})
        self._times.expect(perf_counter() - start)
