"""The observed graph: the folded graph, with the mean and mean square of every row and channel of each watched layer.

They are taken at the tensor that the layer's placement names, in its units. `models.observation` names these outputs
and reads them.

GlobalAveragePool is the fastest operator for them in onnxruntime: it works on the blocked layout of a convolution's
output, which ReduceMean would convert first. A tensor without positions is its own mean. One whose channels are on
another axis is brought to (rows, channels, positions) first: what was made of one row lies together, whatever its axes.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from models.batchnorm import Float64
from models.errors import GraphError
from models.graph.editor import GraphEditor
from models.graph.margin import margin_nodes
from models.graph.positions import position_nodes
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
        nodes, outputs = _observation(editor, layer, folded.graph.input[0].name)
        observed.graph.node.extend(nodes)
        for name, rank in outputs:
            observed.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * rank))
    return observed


def _observation(
    editor: GraphEditor, layer: WatchedLayer, batch: str
) -> tuple[list[onnx.NodeProto], list[tuple[str, int]]]:
    """The nodes that observe a layer, and their outputs with their ranks.

    Args:
        editor: of the folded graph.
        layer: with its placement in it.
        batch: an input of the graph, whose first axis counts the rows.
    """
    tensor = layer.placement.tensor
    dims = editor.shape(tensor)
    if dims is None:
        raise GraphError(f"layer '{layer.name}': the rank of '{tensor}' cannot be inferred")
    nodes: list[onnx.NodeProto] = []

    def node(op_type: str, inputs: list[str], output: str, **attributes: int) -> str:
        name = editor.fresh(f"{layer.name}.observed.{op_type}")
        nodes.append(helper.make_node(op_type, inputs, [output], name, **attributes))
        return output

    def constant(name: str, values: list[int]) -> str:
        output = editor.fresh(f"{layer.name}.observed.{name}")
        value = helper.make_tensor(output, TensorProto.INT64, [len(values)], values)
        nodes.append(helper.make_node("Constant", [], [output], editor.fresh(f"{output}.Constant"), value=value))
        return output

    if editor.element_type(tensor) != TensorProto.FLOAT:
        tensor = node("Cast", [tensor], editor.fresh(f"{tensor}_float"), to=TensorProto.FLOAT)
    mean, square, variance = mean_output(layer.name), square_output(layer.name), variance_output(layer.name)
    rank = len(dims)
    if layer.kind in ("positions", "margin"):
        is_margin = layer.kind == "margin"
        by_row = margin_nodes(editor, tensor, mean) if is_margin else position_nodes(editor, layer, tensor, mean)
        return [*nodes, *by_row], [(mean, 2)]
    if layer.placement.axis != 1 or (rank == 2 and layer.kind != "batch_norm"):
        if layer.placement.axis != rank - 1:
            raise GraphError(f"layer '{layer.name}': its channels are neither on axis 1 nor on the last one")
        sizes = node("Shape", [batch], editor.fresh(f"{mean}_sizes"))
        first = constant("first", [0])
        rows = node("Gather", [sizes, first], editor.fresh(f"{mean}_rows"), axis=0)
        rest = constant("rest", [-1, layer.num_features])
        shape = node("Concat", [rows, rest], editor.fresh(f"{mean}_shape"), axis=0)
        reshaped = node("Reshape", [tensor, shape], editor.fresh(f"{mean}_by_row"))
        tensor = editor.fresh(f"{mean}_by_channel")
        nodes.append(helper.make_node("Transpose", [reshaped], [tensor], editor.fresh("Transpose"), perm=[0, 2, 1]))
        rank = 3
    if rank == 2:
        node("Identity", [tensor], mean)
        return nodes, [(mean, 2)]
    node("GlobalAveragePool", [tensor], mean)
    spread = square
    if np.abs(_standardized_mean(layer)).max() > _LARGE_MEAN:
        tensor = node("Sub", [tensor, mean], editor.fresh(f"{tensor}_centred"))
        spread = variance
    squared = node("Mul", [tensor, tensor], editor.fresh(f"{tensor}_squared"))
    node("GlobalAveragePool", [squared], spread)
    return nodes, [(mean, rank), (spread, rank)]


def _standardized_mean(layer: WatchedLayer) -> Float64:
    """Mean of the tensor that the layer is read at, in its standard deviations, shape (C,)."""
    # z = factor * tensor + offset has mean 0 and standard deviation 1.
    return Units.of(layer).offset
