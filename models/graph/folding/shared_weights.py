"""Shows that weights which all positions share give no map that differs between positions.

Where an input of the graph has the same values at two positions, a linear layer computes the same there, whatever its
weights are; ``s y + t`` with another s or t at the second one is not the same.
"""

import numpy as np
import onnx

from models.graph.editor import GraphEditor
from models.graph.folding.channel_map import ChannelMap
from models.graph.folding.nonlinear import origin
from models.graph.nodes import attribute, integer, integers, is_standard


def differs_between_positions(editor: GraphEditor, node: onnx.NodeProto, required: ChannelMap) -> str | None:
    """Why no weights of a node that reads an input of the graph give a map; None where that is not shown."""
    own = _axis_of_outputs(editor, node)
    if own is None or origin(editor, node.input[0]) not in editor.inputs:
        return None
    others = tuple(at for at, axis in enumerate(required.axes) if axis != own)
    if not others or not max(np.ptp(part, axis=others).max() for part in (required.scale, required.shift)) > 0:
        return None
    return "all positions share its weights, and the layer's map differs between them"


def _axis_of_outputs(editor: GraphEditor, node: onnx.NodeProto) -> int | None:
    """The axis along which weights differ, of the result of a node whose weights all other positions share."""
    dims = editor.shape(node.output[0])
    weight = editor.constant(node.input[1]) if len(node.input) > 1 else None
    if dims is None or weight is None:
        return None
    if is_standard(node, "Gemm") and not integer(node, "transA", 0):
        return 1
    if is_standard(node, "MatMul") and weight.ndim == 2:
        return len(dims) - 1
    is_padded = any(integers(node, "pads")) or attribute(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID")
    return 1 if is_standard(node, "Conv") and not is_padded else None
