"""The observed graph: the folded graph, with the mean and mean square of every row and channel of each watched layer.

They are taken at the tensor that the layer's placement names, in its units. `models.observation` names these outputs
and reads them.

GlobalAveragePool is the fastest operator for them in onnxruntime: it works on the blocked layout of a convolution's
output, which ReduceMean would convert first. A tensor without positions is its own mean. One whose channels are on
another axis is brought to (rows, channels, positions) first: what was made of one row lies together, whatever its axes.
So do the entries of one row where a reshape has joined the rows with another axis, such as time: their means are
averaged.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from models.batchnorm import Float64
from models.errors import GraphError
from models.graph.added_nodes import AddedNodes
from models.graph.editor import GraphEditor
from models.graph.image import add_image
from models.graph.margin import add_margin
from models.manifest import WatchedLayer
from models.observation import Units, mean_output, square_output, variance_output

_LARGE_MEAN = 10.0
"""In standard deviations. With a larger mean, squares in float32 lose the digits of the variance, so it is returned."""


def observe(folded: onnx.ModelProto, layers: Sequence[WatchedLayer]) -> onnx.ModelProto:
    """The folded graph with its observation outputs; `folded` is not changed.

    Args:
        folded: as `models.graph.fold.fold` returns it.
        layers: with their placements in it. Those that are said to be unwatched are left out.

    Raises:
        GraphError: the rank of a tensor that a layer is read at cannot be inferred, or its channels are on an axis that
            cannot be observed.
    """
    editor = GraphEditor(folded)
    observed = onnx.ModelProto()
    observed.CopyFrom(folded)
    for layer in layers:
        if layer.unwatched is not None:
            continue
        observation = _Observation(editor, layer, folded.graph.input[0].name)
        outputs = observation.make()
        observed.graph.node.extend(observation.nodes.nodes)
        for name, rank in outputs:
            observed.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * rank))
    return observed


class _Observation:
    """The nodes that observe a layer.

    Args:
        editor: of the folded graph.
        layer: with its placement in it.
        batch: an input of the graph, whose first axis counts the rows.

    Attributes:
        nodes: made so far.
    """

    def __init__(self, editor: GraphEditor, layer: WatchedLayer, batch: str) -> None:
        self._editor = editor
        self._layer = layer
        self._batch = batch
        self.nodes = AddedNodes(editor, f"{layer.name}.observed")

    def make(self) -> list[tuple[str, int]]:
        """Make the nodes. Returns the outputs with their ranks.

        Raises:
            GraphError: as of `observe`.
        """
        layer, tensor = self._layer, self._layer.placement.tensor
        dims = self._editor.shape(tensor)
        if dims is None:
            raise GraphError(f"layer '{layer.name}': the rank of '{tensor}' cannot be inferred")
        if self._editor.element_type(tensor) != TensorProto.FLOAT:
            tensor = self.nodes.add("Cast", tensor, to=TensorProto.FLOAT)
        mean, rank, joined = mean_output(layer.name), len(dims), bool(layer.several_per_row)
        if layer.image is not None:
            add_image(self.nodes, layer.image, tensor, mean)
            return [(mean, 2)]
        if layer.kind == "margin":
            add_margin(self.nodes, tensor, mean)
            return [(mean, 2)]
        if layer.placement.axis != 1 or (rank == 2 and (joined or layer.kind != "batch_norm")):
            if layer.placement.axis != rank - 1:
                raise GraphError(f"layer '{layer.name}': its channels are neither on axis 1 nor on the last one")
            tensor, rank, joined = self._by_channel(tensor), 3, False
        if rank == 2:
            self.nodes.add("Identity", tensor, output=mean)
            return [(mean, 2)]
        return self._moments(tensor, rank, joined=joined)

    def _moments(self, tensor: str, rank: int, *, joined: bool) -> list[tuple[str, int]]:
        """Mean and mean square, or variance, of a tensor with its channels on axis 1 and positions behind it."""
        name = self._layer.name
        mean, spread = mean_output(name), square_output(name)
        self._pool(tensor, mean, joined=joined)
        if np.abs(_standardized_mean(self._layer)).max() > _LARGE_MEAN:
            if joined:
                raise GraphError(f"layer '{name}': its means are far from 0, and each row has several of them")
            tensor = self.nodes.add("Sub", tensor, mean)
            spread = variance_output(name)
        self._pool(self.nodes.add("Mul", tensor, tensor), spread, joined=joined)
        rank = 3 if joined else rank
        return [(mean, rank), (spread, rank)]

    def _pool(self, tensor: str, output: str, *, joined: bool) -> None:
        """The mean over the positions of each row; where entries of rows are joined, over those of all its entries."""
        if joined:
            tensor = self._by_channel(self.nodes.add("GlobalAveragePool", tensor))
        self.nodes.add("GlobalAveragePool", tensor, output=output)

    def _by_channel(self, tensor: str) -> str:
        """A tensor whose channels are on its last axis, but for axes of size 1, as (rows, channels, positions)."""
        nodes = self.nodes
        rows = nodes.add("Gather", nodes.add("Shape", self._batch), nodes.integers(0), axis=0)
        shape = nodes.add("Concat", rows, nodes.integers(-1, self._layer.num_features), axis=0)
        return nodes.add("Transpose", nodes.add("Reshape", tensor, shape), perm=[0, 2, 1])


def _standardized_mean(layer: WatchedLayer) -> Float64:
    """Mean of the tensor that the layer is read at, in its standard deviations, shape (C,)."""
    # z = factor * tensor + offset has mean 0 and standard deviation 1.
    return Units.of(layer).offset
