"""Weights that add up to 1: a mean with such weights of ``s * v + t`` is ``s * mean + t``."""

from collections.abc import Sequence

import numpy as np
import onnx

from models.graph.editor import GraphEditor
from models.graph.nodes import Dim, integer, integers, is_standard

_AXIS_IS_LAST = 13
"""Opset since which Softmax is along one axis. Before, it was along all axes from that one on."""

_SAME_SUM = 1e-6
"""Weights that are stored in float32 add up to 1 only to their own rounding."""


def operand_of_means(editor: GraphEditor, node: onnx.NodeProto) -> str | None:
    """The operand of a MatMul of which it takes means; None where it takes none, or that is not known."""
    return next((node.input[slot] for slot in (0, 1) if takes_means(editor, node, slot)), None)


def takes_means(editor: GraphEditor, node: onnx.NodeProto, slot: int) -> bool:
    """Whether a MatMul takes means of the operand in a slot."""
    other = node.input[1 - slot]
    dims = editor.shape(other)
    return dims is not None and len(dims) > 1 and sums_to_one(editor, other, len(dims) - (2 if slot == 0 else 1))


def sums_to_one(editor: GraphEditor, tensor: str, axis: int) -> bool:
    """Whether the values of a tensor add up to 1 along an axis, in every run.

    Args:
        editor: of the graph.
        tensor: any tensor.
        axis: of the tensor, not negative.
    """
    value, dims, node = editor.constant(tensor), editor.shape(tensor), editor.producer(tensor)
    if value is not None:
        return bool(np.allclose(value.sum(axis=axis), 1, rtol=0, atol=_SAME_SUM))
    if node is None or dims is None:
        return False
    if is_standard(node, "Softmax"):
        along = integer(node, "axis", -1 if editor.opset >= _AXIS_IS_LAST else 1) % len(dims)
        return along == axis and (editor.opset >= _AXIS_IS_LAST or axis == len(dims) - 1)
    if is_standard(node, "Div"):
        return _is_sum(editor, node.input[1], node.input[0], axis)
    before = _axis_before(editor, node, dims, axis)
    return before is not None and sums_to_one(editor, node.input[0], before)


def _axis_before(editor: GraphEditor, node: onnx.NodeProto, dims: Sequence[Dim], axis: int) -> int | None:
    """The axis of a node's input whose lines are those of the output along `axis`; None where none is known."""
    if is_standard(node, "Transpose"):
        return (integers(node, "perm") or list(reversed(range(len(dims)))))[axis]
    if is_standard(node, "Identity") or (is_standard(node, "Dropout") and len(node.input) < 3):
        return axis
    if is_standard(node, "Reshape", "Unsqueeze", "Squeeze", "Flatten") and axis == len(dims) - 1:
        before = editor.shape(node.input[0])
        return len(before) - 1 if before and before[-1] == dims[-1] is not None else None
    return None


def _is_sum(editor: GraphEditor, tensor: str, of: str, axis: int) -> bool:
    """Whether a tensor is the sum of another one along an axis, which it keeps."""
    node = editor.producer(tensor)
    dims = editor.shape(of)
    if node is None or dims is None or not is_standard(node, "ReduceSum") or node.input[0] != of:
        return False
    given = editor.constant(node.input[1]) if len(node.input) > 1 and node.input[1] else None
    axes = integers(node, "axes") if given is None else [int(one) for one in given.reshape(-1)]
    return bool(integer(node, "keepdims", 1)) and [one % len(dims) for one in axes] == [axis]
