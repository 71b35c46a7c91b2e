"""The observed graph: the folded graph, with the mean and mean square of every row and channel of each norm layer.

They are taken at the tensor that the layer's placement names, in its units. `models.observation` names these outputs
and reads them.

GlobalAveragePool is the fastest operator for them in onnxruntime: it works on the blocked layout of a convolution's
output, which ReduceMean would convert first. A tensor without positions is its own mean.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper

from models.batchnorm import Float64
from models.errors import GraphError
from models.graph.editor import GraphEditor
from models.manifest import NormLayer
from models.observation import Units, mean_output, square_output, variance_output

_LARGE_MEAN = 10.0
"""In standard deviations. With a larger mean, squares in float32 lose the digits of the variance, so it is returned."""


def observe(folded: onnx.ModelProto, layers: tuple[NormLayer, ...]) -> onnx.ModelProto:
    """The folded graph with its observation outputs; `folded` is not changed.

    Args:
        folded: as `models.graph.fold.fold` returns it.
        layers: with their placements in it.

    Raises:
        GraphError: the rank of a tensor that a layer is read at cannot be inferred.
    """
    editor = GraphEditor(folded)
    observed = onnx.ModelProto()
    observed.CopyFrom(folded)
    for layer in layers:
        nodes, outputs = _observation(editor, layer)
        observed.graph.node.extend(nodes)
        for name, rank in outputs:
            observed.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * rank))
    return observed


def _observation(editor: GraphEditor, layer: NormLayer) -> tuple[list[onnx.NodeProto], list[tuple[str, int]]]:
    """The nodes that observe a layer, and their outputs with their ranks."""
    tensor = layer.placement.tensor
    dims = editor.shape(tensor)
    if dims is None:
        raise GraphError(f"layer '{layer.name}': the rank of '{tensor}' cannot be inferred")
    nodes: list[onnx.NodeProto] = []

    def node(op_type: str, inputs: list[str], output: str, **attributes: int) -> str:
        name = editor.fresh(f"{layer.name}.observed.{op_type}")
        nodes.append(helper.make_node(op_type, inputs, [output], name, **attributes))
        return output

    if editor.element_type(tensor) != TensorProto.FLOAT:
        tensor = node("Cast", [tensor], editor.fresh(f"{tensor}_float"), to=TensorProto.FLOAT)
    mean, square, variance = mean_output(layer.name), square_output(layer.name), variance_output(layer.name)
    if len(dims) == 2:
        node("Identity", [tensor], mean)
        return nodes, [(mean, 2)]
    node("GlobalAveragePool", [tensor], mean)
    spread = square
    if np.abs(_standardized_mean(layer)).max() > _LARGE_MEAN:
        tensor = node("Sub", [tensor, mean], editor.fresh(f"{tensor}_centred"))
        spread = variance
    squared = node("Mul", [tensor, tensor], editor.fresh(f"{tensor}_squared"))
    node("GlobalAveragePool", [squared], spread)
    return nodes, [(mean, len(dims)), (spread, len(dims))]


def _standardized_mean(layer: NormLayer) -> Float64:
    """Mean of the tensor that the layer is read at, in its standard deviations, shape (C,)."""
    # z = factor * tensor + offset has mean 0 and standard deviation 1.
    return Units.of(layer).offset
