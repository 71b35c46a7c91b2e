"""Runs by CUDA graphs: all kernels of a run, captured once for each number of rows and started again by one call.

onnxruntime starts every kernel by itself, and plans a convolution again whenever it meets another number of rows than
in the run before: about a millisecond for each convolution, also for sizes that it has met. A captured run does
neither. It reads its inputs from and writes its outputs to the same memory every time, so that only one runs at a time.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np
import onnxruntime

from models.datatypes import Array, Arrays, to_numpy
from models.errors import InferenceFailed
from models.manifest import TensorSpec
from models.rows import count_rows, random_rows
from models.runtime.device import device
from models.runtime.pinned import pin
from models.runtime.providers import Provider

_GRAPH_ID = "gpu_graph_id"
"""Entry of a run's options: which captured run it is."""

_NOT_CAPTURED = "-1"

_CAPTURING_RUNS = 2
"""With one graph id: onnxruntime captures the second, and replays it from the third on."""


class CapturedRuns:
    """Captured runs of one session, for some numbers of rows. Safe to use from several threads.

    Args:
        session: opened with `capture=True`.
        inputs: of the graph: their first axis is the batch, and no other one is free.
        sizes: numbers of rows, ascending.
        tolerance: largest difference between a captured run and another one, relative to the largest absolute output
            where that is above 1.
        provider: what the session runs on: `cuda`, or `cpu`, which captures nothing and computes the same.

    Raises:
        InferenceFailed: captured runs have other outputs than others, or the device has not enough memory.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        inputs: Sequence[TensorSpec],
        sizes: Sequence[int],
        tolerance: float,
        provider: Provider,
    ) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._sizes = sizes
        self._staging = {
            spec.name: pin(np.zeros((sizes[-1], *spec.shape[1:]), to_numpy(spec.datatype))) for spec in inputs
        }
        self._bound: dict[int, _BoundRun] = {}
        for number, rows in enumerate(sizes, start=1):
            example = random_rows(inputs, rows, seed=rows)
            # Plans for this size, so that the capture is short.
            expected = self.run_uncaptured(partial(_run, session, example), onnxruntime.RunOptions())
            self._bound[rows] = _BoundRun.open(session, number, example, expected, provider)
            with device.capture():
                for _ in range(_CAPTURING_RUNS):
                    self._replay(rows, example, onnxruntime.RunOptions())
            _validate(self.run(example, onnxruntime.RunOptions()), expected, tolerance)

    @property
    def is_busy(self) -> bool:
        """Whether another run would have to wait."""
        return self._lock.locked()

    def run(self, inputs: Mapping[str, Array], options: onnxruntime.RunOptions) -> Arrays:
        """All outputs by name.

        Args:
            inputs: by name, of 1 to `sizes[-1]` rows.
            options: of this run.
        """
        rows = count_rows(inputs)
        with self._lock, device.run():
            return self._replay(next(size for size in self._sizes if size >= rows), inputs, options)

    def run_uncaptured(
        self, run: Callable[[onnxruntime.RunOptions], Arrays], options: onnxruntime.RunOptions
    ) -> Arrays:
        """Run the session in another way, with no captured run at the same time.

        Args:
            run: runs the session with these options.
            options: of this run.
        """
        options.add_run_config_entry(_GRAPH_ID, _NOT_CAPTURED)
        with self._lock, device.run():
            return run(options)

    def _replay(self, size: int, inputs: Mapping[str, Array], options: onnxruntime.RunOptions) -> Arrays:
        return self._bound[size].run(self._session, self._staging, inputs, options)


class _BoundRun(NamedTuple):
    """The run of one number of rows, and the memory that it reads and writes."""

    graph_id: str
    binding: Any
    inputs: dict[str, onnxruntime.OrtValue]
    outputs: dict[str, onnxruntime.OrtValue]

    @classmethod
    def open(
        cls,
        session: onnxruntime.InferenceSession,
        number: int,
        inputs: Mapping[str, Array],
        outputs: Mapping[str, Array],
        provider: Provider,
    ) -> Self:
        allocate = onnxruntime.OrtValue.ortvalue_from_shape_and_type
        binding = session.io_binding()
        values = [
            {name: allocate(array.shape, array.dtype, provider, 0) for name, array in side.items()}
            for side in (inputs, outputs)
        ]
        for name, value in values[0].items():
            binding.bind_ortvalue_input(name, value)
        for name, value in values[1].items():
            binding.bind_ortvalue_output(name, value)
        return cls(str(number), binding, *values)

    def run(
        self,
        session: onnxruntime.InferenceSession,
        staging: Mapping[str, Array],
        inputs: Mapping[str, Array],
        options: onnxruntime.RunOptions,
    ) -> Arrays:
        rows = count_rows(inputs)
        for name, value in self.inputs.items():
            whole = staging[name][: value.shape()[0]]
            whole[:rows] = inputs[name]
            whole[rows:] = 0
            value.update_inplace(whole)
        options.add_run_config_entry(_GRAPH_ID, self.graph_id)
        session.run_with_iobinding(self.binding, options)
        return {name: value.numpy()[:rows].copy() for name, value in self.outputs.items()}


def _run(session: onnxruntime.InferenceSession, inputs: Mapping[str, Array], options: onnxruntime.RunOptions) -> Arrays:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs, options), strict=True))


def _validate(actual: Arrays, expected: Arrays, tolerance: float) -> None:
    for name, values in expected.items():
        scale = max(1.0, float(np.abs(values.astype(np.float64)).max(initial=0.0)))
        if not np.allclose(actual[name], values, rtol=0.0, atol=tolerance * scale, equal_nan=True):
            raise InferenceFailed(f"a captured run gives another '{name}' than a usual one")
