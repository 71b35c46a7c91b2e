"""Equalises the channels between two layers, so that one scale for all of them loses less.

A positive factor for each channel passes a rectifier: relu(s x) = s relu(x). So the outputs of one layer may be divided
by any s, and the weights of the next multiplied by it (Nagel et al. 2019, section 4.1). Weights are quantised with a
scale for each output channel here, and activations with one scale for all: what has to be balanced is the range of the
activation's channels, a, and the weights w that read them. Both become sqrt(a w) with s = sqrt(a / w).
"""

from collections.abc import Mapping

import numpy as np
import onnx

from models.batchnorm import Float64
from models.graph.editor import GraphEditor
from models.graph.nodes import is_standard
from models.quantization.linear import LinearNode
from models.quantization.tensor_statistics import Statistics

MAX_FACTOR = 8.0
"""About the geometric mean of all: a channel that hardly varies is not magnified further."""

Factors = Mapping[str, Float64]
"""By tensor: what its channels are multiplied by, shape (C,)."""


def equalize(folded: onnx.ModelProto, statistics: Statistics) -> tuple[onnx.ModelProto, Factors]:
    """The same function with equalised channels, and the tensors that changed; `folded` is not changed.

    Args:
        folded: as `models.graph.fold.fold` returns it.
        statistics: of its tensors.
    """
    editor = GraphEditor(folded)
    factors: dict[str, Float64] = {}
    for node in editor.nodes:
        second = LinearNode.read(editor, node)
        if second is None or second.groups != 1 or node.input[0] not in statistics:
            continue
        between = _tensors_between(editor, node)
        first = LinearNode.read(editor, _producer(editor, between[-1])) if between else None
        if first is None or not first.takes_bias or len(first.bias) != second.num_inputs:
            continue
        weights = np.abs(second.rows(second.weight)).max(axis=(0, 2))
        scale = _balance(statistics[node.input[0]].magnitude, weights)
        element_type = editor.element_type(first.node.input[1])
        editor.set_constant(first.node, 1, first.weight / first.per_output(scale), element_type)
        editor.set_constant(first.node, 2, first.bias / scale, element_type)
        editor.set_constant(node, 1, second.weight * second.per_input(scale), element_type)
        factors |= dict.fromkeys(between, 1 / scale)
    return editor.finish(), factors


def _balance(activation: Float64, weights: Float64) -> Float64:
    """s, shape (C,); 1 for a channel without values or without weights."""
    used = (activation > 0) & (weights > 0)
    if not used.any():
        return np.ones_like(activation)
    log = np.zeros_like(activation)
    log[used] = np.log(activation[used] / weights[used]) / 2
    log[used] -= log[used].mean()
    bound = np.log(MAX_FACTOR)
    return np.asarray(np.exp(np.clip(log, -bound, bound)))


def _tensors_between(editor: GraphEditor, node: onnx.NodeProto) -> list[str]:
    """The input of a node and, behind a rectifier, that of the rectifier; none where another node reads them."""
    tensors = [node.input[0]]
    producer = editor.producer(tensors[0])
    if producer is not None and is_standard(producer, "Relu", "LeakyRelu"):
        tensors.append(producer.input[0])
    alone = all(len(editor.users(tensor)) == 1 and tensor not in editor.outputs for tensor in tensors)
    return tensors if alone and editor.producer(tensors[-1]) is not None else []


def _producer(editor: GraphEditor, tensor: str) -> onnx.NodeProto:
    node = editor.producer(tensor)
    assert node is not None  # noqa: S101 - for the type checker: `_tensors_between` ends at one
    return node
