"""Statistics of a graph's tensors, measured on rows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from models.batchnorm import Float64
from models.datatypes import Array, Arrays
from models.graph.editor import GraphEditor
from models.graph.load import serialize
from models.quantization.tensor_statistics import Statistics, TensorStatistics
from models.rows import count_rows
from models.runtime.load import load

_BATCH_ROWS = 4
"""Every tensor of a batch is in memory at once: of a ResNet-50, 90 MB for each image."""


def measure(folded: onnx.ModelProto, rows: Arrays) -> Statistics:
    """Of every float tensor with channels that the nodes of the graph read or compute, if all of its values are finite.

    Args:
        folded: as `models.graph.fold.fold` returns it.
        rows: for every input, shape (n, ...), at least one.

    Raises:
        GraphError: onnxruntime cannot run the graph on the rows.
    """
    tensors = _tensors(GraphEditor(folded))
    graph = onnx.ModelProto()
    graph.CopyFrom(folded)
    shown = {value.name for value in graph.graph.output}
    for name, rank in tensors.items():
        if name not in rows and name not in shown:
            graph.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * rank))
    run = load(serialize(graph), optimize=True)
    sums: dict[str, _Sums] = {}
    for batch in _batches(rows):
        found = run(batch) | batch
        for name in tensors:
            part = _Sums.of(found[name])
            sums[name] = sums[name].merge(part) if name in sums else part
    return {name: found.statistics for name, found in sums.items() if np.isfinite(found.squares).all()}


@dataclass(frozen=True)
class _Sums:
    """Sums over rows and positions of each channel, shape (C,) each, float64."""

    count: int
    total: Float64
    squares: Float64
    low: Float64
    high: Float64

    @classmethod
    def of(cls, values: Array) -> "_Sums":
        """Of a tensor, shape (rows, C, ...)."""
        others = tuple(axis for axis in range(values.ndim) if axis != 1)
        count = values.size // max(values.shape[1], 1)
        total, squares = (power.sum(axis=others, dtype=np.float64) for power in (values, np.square(values)))
        low, high = (np.asarray(extreme(axis=others), np.float64) for extreme in (values.min, values.max))
        return cls(count, total, squares, low, high)

    def merge(self, other: "_Sums") -> "_Sums":
        """Of both."""
        return _Sums(
            self.count + other.count,
            self.total + other.total,
            self.squares + other.squares,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )

    @property
    def statistics(self) -> TensorStatistics:
        """The range is that of the values."""
        mean = self.total / self.count
        spread = np.sqrt(np.maximum(self.squares / self.count - mean**2, 0))
        return TensorStatistics(mean, spread, self.low, self.high)


def _tensors(editor: GraphEditor) -> dict[str, int]:
    """Names and ranks of the tensors that have rows and channels."""
    names = dict.fromkeys(name for node in editor.nodes for name in (*node.input, *node.output) if name)
    found: dict[str, int] = {}
    for name in names:
        shape = editor.shape(name)
        if shape is None or len(shape) < 2 or not isinstance(shape[1], int):
            continue
        if editor.element_type(name) == TensorProto.FLOAT and editor.constant(name) is None:
            found[name] = len(shape)
    return found


def _batches(rows: Arrays) -> Iterator[Arrays]:
    for start in range(0, count_rows(rows), _BATCH_ROWS):
        yield {name: values[start : start + _BATCH_ROWS] for name, values in rows.items()}
