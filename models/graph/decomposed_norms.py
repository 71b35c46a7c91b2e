"""Recognises normalisation layers that an exporter has decomposed, by what their nodes compute.

    n = t / sqrt(mean(t * t) + eps),   t = x - mean(x), or x itself

The scale and shift may follow, or be taken into the divisor first (Keras): ``x * s + (beta - mean * s)``, with s the
scale over the deviation.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import onnx
from numpy.typing import NDArray

from models.graph.editor import GraphEditor
from models.graph.nodes import integers, is_standard
from models.manifest import LayerKind


@dataclass
class FoundNorm:
    """A layer while its end is looked for.

    Attributes:
        node: that it is named after, where its parameters have no names.
        tensor: its output, as far as it is known.
        axis: of the channels, unless a scale or shift tells another one.
        scales, shifts: the constants that multiply and shift it, in the order of the nodes.
        parameters: their names.
        read_at: where to observe it instead of its output, which has the same statistics in every row.
    """

    kind: LayerKind
    node: onnx.NodeProto
    tensor: str
    axis: int
    scales: list[NDArray[Any]] = field(default_factory=list)
    shifts: list[NDArray[Any]] = field(default_factory=list)
    parameters: list[str] = field(default_factory=list)
    read_at: str | None = None


class _Root(NamedTuple):
    """The root of a variance: the tensors x and t, and the tensors that hold one over the root."""

    kind: LayerKind
    x: str
    centred: str
    axis: int
    deviation: str
    inverses: tuple[str, ...]


def find_decomposed(editor: GraphEditor, node: onnx.NodeProto) -> FoundNorm | None:
    """The layer whose root of the variance a node computes; None if it computes none."""
    root = _root(editor, node)
    if root is None:
        return None
    read_at = root.x if root.kind == "instance_norm" else None
    centred = _same(editor, root.centred)
    for user in editor.users(root.deviation):
        if is_standard(user, "Div") and user.input[1] == root.deviation and user.input[0] in centred:
            return FoundNorm(root.kind, user, user.output[0], root.axis, read_at=read_at)
    for inverse in root.inverses:
        for user in editor.users(inverse):
            other = _other(user, inverse)
            if not is_standard(user, "Mul"):
                continue
            if other in centred:
                return FoundNorm(root.kind, user, user.output[0], root.axis, read_at=read_at)
            scale = editor.constant(other)
            end = None if scale is None else _scaled_first(editor, user.output[0], root.x, centred)
            if scale is not None and end is not None:
                return FoundNorm(root.kind, user, end[0], root.axis, [scale], end[1], [other], read_at)
    return None


def _root(editor: GraphEditor, node: onnx.NodeProto) -> _Root | None:
    power = 0.5 if is_standard(node, "Sqrt") else _exponent(editor, node)
    variance = editor.producer(node.input[0]) if power in {0.5, -0.5} else None
    if variance is None or not is_standard(variance, "Add"):
        return None
    mean = next((found for name in variance.input if (found := _mean(editor, name)) is not None), None)
    centred = None if mean is None else _squared(editor, mean[0])
    if mean is None or centred is None:
        return None
    axes = mean[1]
    kind, x = _kind(editor, centred, axes)
    last = len(editor.shape(centred) or ()) - 1
    axis = last if axes == (last,) or (kind == "instance_norm" and last not in axes) else 1
    deviation = node.output[0]
    inverses = (deviation,) if power == -0.5 else tuple(_inverses(editor, deviation))
    return _Root(kind, x, centred, axis, deviation, inverses)


def _exponent(editor: GraphEditor, node: onnx.NodeProto) -> float | None:
    value = editor.constant(node.input[1]) if is_standard(node, "Pow") else None
    return float(value.reshape(-1)[0]) if value is not None and value.size == 1 else None


def _other(node: onnx.NodeProto, tensor: str) -> str:
    """The other input of a node of two inputs."""
    return next((str(name) for name in node.input if name != tensor), tensor)


def _scaled_first(editor: GraphEditor, scale: str, x: str, centred: set[str]) -> tuple[str, list[NDArray[Any]]] | None:
    """The end of ``t * s`` or ``x * s + (beta - mean * s)``, and its shift."""
    for user in editor.users(scale):
        if is_standard(user, "Mul") and _other(user, scale) in centred:
            return str(user.output[0]), []
        if not is_standard(user, "Mul") or _other(user, scale) != x:
            continue
        for end in editor.users(user.output[0]):
            rest = editor.producer(_other(end, user.output[0])) if is_standard(end, "Add") else None
            shift = editor.constant(rest.input[0]) if rest is not None and is_standard(rest, "Sub") else None
            if shift is not None:
                return str(end.output[0]), [shift]
    return None


def _mean(editor: GraphEditor, name: str) -> tuple[str, tuple[int, ...]] | None:
    """What a ReduceMean averages, and over which axes."""
    node = editor.producer(name)
    if node is None or not is_standard(node, "ReduceMean"):
        return None
    axes = integers(node, "axes")
    if not axes and len(node.input) > 1 and node.input[1]:
        value = editor.constant(node.input[1])
        axes = [] if value is None else [int(axis) for axis in value.reshape(-1)]
    rank = len(editor.shape(node.input[0]) or ())
    if not axes or not rank:
        return None
    return node.input[0], tuple(sorted(axis % rank for axis in axes))


def _squared(editor: GraphEditor, name: str) -> str | None:
    """What a node squares."""
    node = editor.producer(name)
    if node is None:
        return None
    if (is_standard(node, "Mul") and node.input[0] == node.input[1]) or _exponent(editor, node) == 2:
        return str(node.input[0])
    return None


def _kind(editor: GraphEditor, centred: str, axes: tuple[int, ...]) -> tuple[LayerKind, str]:
    """The kind of the layer that divides a tensor by its root mean square over some axes, and the layer's input."""
    node = editor.producer(centred)
    if node is None or not is_standard(node, "Sub") or _mean(editor, node.input[1]) != (node.input[0], axes):
        return "rms_norm", centred
    rank = len(editor.shape(centred) or ())
    over_positions = rank > 3 and axes in {tuple(range(2, rank)), tuple(range(1, rank - 1))}
    return ("instance_norm" if over_positions else "layer_norm"), node.input[0]


def _same(editor: GraphEditor, centred: str) -> set[str]:
    """The tensor, and those that a node of the same operator and inputs computes."""
    node = editor.producer(centred)
    if node is None:
        return {centred}
    twins = (user for name in node.input[:1] for user in editor.users(name))
    return {centred, *(twin.output[0] for twin in twins if (twin.op_type, twin.input) == (node.op_type, node.input))}


def _inverses(editor: GraphEditor, deviation: str) -> Iterator[str]:
    for user in editor.users(deviation):
        is_quotient = is_standard(user, "Div") and user.input[1] == deviation
        if is_standard(user, "Reciprocal") or (is_quotient and editor.constant(user.input[0]) is not None):
            yield user.output[0]
