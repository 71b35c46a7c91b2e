"""Reshapes to sizes that the graph computes from its number of rows, as ``x.reshape(rows * 4, 64, -1)``.

torch's exporters write them, also for ``flatten(x, 1)``. Where all sizes but one are known numbers, the target becomes
a constant with one -1, as ``(-1, 64, 16)``: all shapes behind it can be inferred then, and no run computes sizes, which
a GPU leaves to the CPU.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper

from models.graph.editor import GraphEditor
from models.graph.nodes import Dim, attribute, integer, is_standard

_SAME_VALUE = ("Identity", "Unsqueeze", "Squeeze", "Reshape", "Cast")


@dataclass(frozen=True)
class _Size:
    """A product of a number and of free sizes."""

    number: int = 1
    free: Counter[str] = field(default_factory=Counter)

    def times(self, other: "_Size") -> "_Size":
        return _Size(self.number * other.number, self.free + other.free)


def state_reshaped_sizes(editor: GraphEditor) -> None:
    """Give Reshapes a constant target, as long as that makes more shapes known."""
    waiting = [node for node in editor.nodes if is_standard(node, "Reshape")]
    while waiting:
        left = [node for node in waiting if not _state(editor, node)]
        if len(left) == len(waiting):
            return
        waiting = left
        editor.infer_again()
        editor.store_computed_constants()


def with_ranks(model: onnx.ModelProto, tensors: Iterable[str]) -> onnx.ModelProto:
    """The model, which states the ranks of tensors that ONNX infers only once the sizes of Reshapes are constants.

    Nothing else changes. A rank that is not known then either is not stated.
    """
    editor = GraphEditor(model)
    if not (unknown := [tensor for tensor in tensors if editor.shape(tensor) is None]):
        return model
    editor.store_computed_constants()
    state_reshaped_sizes(editor)
    stated = onnx.ModelProto()
    stated.CopyFrom(model)
    for tensor in unknown:
        if (dims := editor.shape(tensor)) is not None:
            value = helper.make_tensor_value_info(tensor, editor.element_type(tensor), [None] * len(dims))
            stated.graph.value_info.append(value)
    return stated


def _state(editor: GraphEditor, node: onnx.NodeProto) -> bool:
    """Whether the target of a Reshape has become a constant."""
    before, target = editor.shape(node.input[0]), _vector(editor, node.input[1])
    if editor.constant(node.input[1]) is not None or before is None or target is None:
        return False
    computed = [at for at, size in enumerate(target) if size is None or size.free]
    numbers = [0 if size is None or size.free else size.number for size in target]
    if len(computed) != 1 or 0 in (number for at, number in enumerate(numbers) if at not in computed):
        return False
    if -1 in numbers:
        whole, others = _product(map(_of, before)), _product(size for size in target if size != _Size(-1))
        if whole is None or others is None or whole.free != others.free or others.number < 1:
            return False
        if whole.number % others.number or numbers.count(-1) > 1:
            return False
        numbers[numbers.index(-1)] = whole.number // others.number
    numbers[computed[0]] = -1
    editor.set_constant(node, 1, np.array(numbers, np.int64), TensorProto.INT64, base=f"{node.name}.target")
    return True


def _vector(editor: GraphEditor, tensor: str) -> list[_Size | None] | None:
    """The sizes in a tensor of one axis, None for those that are not known; None where not even their number is."""
    value, node = editor.constant(tensor), editor.producer(tensor)
    if value is not None:
        return [_Size(int(number)) for number in value.reshape(-1)]
    if node is not None and is_standard(node, "Concat"):
        parts = [_vector(editor, name) for name in node.input]
        return None if None in parts else [size for part in parts if part is not None for size in part]
    if node is not None and is_standard(node, "Shape"):
        dims = editor.shape(node.input[0])
        return None if dims is None else list(map(_of, dims[integer(node, "start", 0) : attribute(node, "end")]))
    if editor.shape(tensor) in ((1,), ()):
        return [_single(editor, node)]
    return None


def _single(editor: GraphEditor, node: onnx.NodeProto | None) -> _Size | None:
    """The one size that a node computes."""
    if node is not None and is_standard(node, *_SAME_VALUE):
        return _first(editor, node.input[0])
    if node is not None and is_standard(node, "Mul"):
        return _product(_first(editor, name) for name in node.input)
    if node is not None and is_standard(node, "Gather"):
        sizes, index = _vector(editor, node.input[0]), editor.constant(node.input[1])
        is_known = sizes is not None and index is not None and -len(sizes) <= int(index.reshape(-1)[0]) < len(sizes)
        return sizes[int(index.reshape(-1)[0])] if is_known and sizes is not None and index is not None else None
    return None


def _first(editor: GraphEditor, tensor: str) -> _Size | None:
    sizes = _vector(editor, tensor)
    return sizes[0] if sizes is not None and len(sizes) == 1 else None


def _of(dim: Dim) -> _Size | None:
    if isinstance(dim, int):
        return _Size(dim)
    return None if dim is None else _Size(1, Counter([dim]))


def _product(sizes: Iterable[_Size | None]) -> _Size | None:
    result = _Size()
    for size in sizes:
        if size is None:
            return None
        result = result.times(size)
    return result
