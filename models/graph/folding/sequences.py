"""Parts of a tensor that are taken by way of a sequence, as torch's older exporter does for split, chunk and unbind."""

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from models.graph.editor import GraphEditor
from models.graph.folding.step import has_input
from models.graph.nodes import integer, is_standard


def take_parts_directly(editor: GraphEditor) -> None:
    """Replace each element that is taken of a SplitToSequence by a Slice or Gather, where the index is a constant."""
    splits = [node for node in editor.nodes if is_standard(node, "SplitToSequence")]
    for split in splits:
        for user in editor.users(split.output[0]).copy():
            if is_standard(user, "SequenceAt") and (part := _part(editor, split, user)) is not None:
                editor.replace(user, [part])
        if not editor.users(split.output[0]) and split.output[0] not in editor.outputs:
            editor.replace(split, [])


def _part(editor: GraphEditor, split: onnx.NodeProto, at: onnx.NodeProto) -> onnx.NodeProto | None:
    """The node that takes the element from the tensor itself; None where it is only known when it runs."""
    dims = editor.shape(split.input[0])
    chosen = editor.constant(at.input[1])
    axis = integer(split, "axis", 0)
    size = None if dims is None else dims[axis]
    if chosen is None or not isinstance(size, int):
        return None
    index = int(chosen.reshape(()))
    if not has_input(split, 1) and not integer(split, "keepdims", 1):
        chosen_index = _constant(editor, at, "index", index)
        return helper.make_node("Gather", [split.input[0], chosen_index], at.output, at.name, axis=axis)
    lengths = editor.constant(split.input[1]) if has_input(split, 1) else np.ones((), np.int64)
    if lengths is None:
        return None
    starts = _starts(lengths, size)
    if not -len(starts) < index + 1 <= len(starts) - 1:
        return None
    index %= len(starts) - 1
    values = {"starts": starts[index], "ends": starts[index + 1], "axes": axis}
    names = [_constant(editor, at, name, [int(value)]) for name, value in values.items()]
    return helper.make_node("Slice", [split.input[0], *names], at.output, at.name)


def _starts(lengths: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Where each part starts, and the end of the last one. A single length is that of all but the last."""
    if lengths.ndim == 0:
        return np.append(np.arange(0, size, int(lengths)), size)
    return np.cumsum([0, *lengths])


def _constant(editor: GraphEditor, node: onnx.NodeProto, name: str, value: Sequence[int] | int) -> str:
    return editor.add_constant(f"{node.name}.{name}", np.array(value, np.float64), TensorProto.INT64)
