"""Biases of zeros whose shape is wrong, as torch's newer exporter gives to a 3-D convolution that has no bias.

onnxscript 0.7 writes zeros of shape (M, 2), which onnxruntime refuses when it runs the node.
"""

import onnx

from models.graph.channel_map import has_input
from models.graph.editor import GraphEditor
from models.graph.nodes import is_standard
from models.stored_graph import NO_WEIGHTS, Weights


def remove_malformed_zero_biases(source: onnx.ModelProto, weights: Weights = NO_WEIGHTS) -> onnx.ModelProto:
    """The graph without these biases; `source` itself where it has none."""
    vectors = {tensor.name for tensor in source.graph.initializer if len(tensor.dims) == 1}
    unclear = {node.input[2] for node in source.graph.node if _has_bias(node)} - vectors
    if not unclear:
        return source
    editor = GraphEditor(source, weights)
    malformed = [
        node
        for node in editor.nodes
        if _has_bias(node)
        and node.input[2] in unclear
        and (bias := editor.constant(node.input[2])) is not None
        and bias.ndim != 1
        and not bias.any()
    ]
    for node in malformed:
        editor.set_input(node, 2, "")
    return editor.finish() if malformed else source


def _has_bias(node: onnx.NodeProto) -> bool:
    """Whether it is a convolution with a bias."""
    return is_standard(node, "Conv", "ConvTranspose") and has_input(node, 2)
