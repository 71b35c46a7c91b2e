"""Shows that a function beside a layer stops it, whatever the weights beyond are: evidence in numbers.

Before a layer: f(u) has values from lo to hi, and so has f(a u + b) for all weights a, b but a = 0. Where s f(u) + t
has others, no weights before f give them.

After a layer: if there were weights a, b with g(s x + t) = a g(x) + b for every x, least squares would find them at any
points. Where the best ones leave a rest, there are none.

Linear layers are taken to reach every real number.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.batchnorm import Float64
from models.graph.editor import GraphEditor
from models.graph.folding.channel_map import ChannelMap
from models.graph.folding.weighted_means import operand_of_means
from models.graph.nodes import is_standard

_ELEMENTWISE = (
    *("Abs", "Add", "Celu", "Clip", "Div", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Max"),
    *("Min", "Mish", "Mul", "Neg", "PRelu", "Pow", "Relu", "Selu", "Sigmoid", "Softplus", "Softsign", "Sub", "Swish"),
    *("Tanh", "ThresholdedRelu"),
)
_LINEAR = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_SAME_VALUES = (
    *("AveragePool", "GlobalAveragePool", "MaxPool", "GlobalMaxPool", "Transpose", "Reshape", "Flatten"),
    *("Slice", "Gather", "Split", "Identity", "Squeeze", "Unsqueeze"),
)

SHAPES = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose")
"""Operators that only move values."""

EVERY_NUMBER = (-inf, inf)
_MOST_NODES = 16
"""Of a function: an activation that an exporter has taken apart has up to ten."""

_NEAR = np.linspace(-30, 30, 6001)
_FAR = np.linspace(-60, 60, 6001)
_POINTS = np.linspace(-4, 4, 33)
_SIGNIFICANT = 1e-3
"""Relative. What differs by less may be rounding, or too little of the grid."""


@dataclass(frozen=True)
class _Function:
    """What elementwise nodes compute of one tensor, the same for each of its values.

    Attributes:
        nodes: in topological order.
    """

    nodes: tuple[onnx.NodeProto, ...]
    given: str
    result: str

    def __call__(self, editor: GraphEditor, values: Float64) -> Float64:
        """Of each value; NaN where it cannot be told."""
        from onnx.reference import ReferenceEvaluator  # noqa: PLC0415 - few graphs need it, and it takes long to import

        names = dict.fromkeys(name for node in self.nodes for name in node.input if name)
        constants = [(name, editor.constant(name)) for name in names]
        graph = helper.make_graph(
            self.nodes,
            "function",
            [helper.make_tensor_value_info(self.given, TensorProto.DOUBLE, None)],
            [helper.make_tensor_value_info(self.result, TensorProto.DOUBLE, None)],
            [numpy_helper.from_array(value.reshape(()), name) for name, value in constants if value is not None],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", editor.opset)])
        try:
            with np.errstate(all="ignore"):
                (result,) = ReferenceEvaluator(model).run(None, {self.given: values})
            return np.broadcast_to(np.asarray(result, np.float64), values.shape)
        except Exception:  # noqa: BLE001 - what the reference cannot run, for any reason, proves nothing
            return np.full_like(values, np.nan)


def out_of_reach(editor: GraphEditor, node: onnx.NodeProto, required: ChannelMap) -> str | None:
    """Why no weights before a node make its output ``scale * output + shift``; None where that is not shown."""
    function = _function_before(editor, node)
    if function is None or reach(editor, function.given) != EVERY_NUMBER:
        return None
    low, high = _range(function(editor, _NEAR), function(editor, _FAR))
    if not low < high:
        return None
    for channel, (scale, shift) in enumerate(zip(required.scale.flat, required.shift.flat, strict=True)):
        if scale == 0:
            continue
        ends = sorted((scale * low + shift, scale * high + shift))
        if _differ(low, ends[0]) or _differ(high, ends[1]):
            needed = f"{ends[0]:.3g} to {ends[1]:.3g}"
            return f"its values are from {low:.3g} to {high:.3g}, and channel {channel} would need {needed}"
    return None


def bend_moves(
    editor: GraphEditor,
    tensor: str,
    node: onnx.NodeProto,
    given: ChannelMap,
    values: tuple[float, float] | None,
    *,
    inverse: bool = False,
) -> str | None:
    """Why no weights after a node, which reads ``scale * x + shift``, make up for reading x; None where not shown.

    Args:
        editor: of the graph.
        tensor: that the node reads.
        node: the node.
        given: scale and shift of each channel.
        values: that x has, as `reach` returns them.
        inverse: whether it is the other way round: the node reads x, and would read ``scale * x + shift``.
    """
    low, high = values or (inf, -inf)
    points = np.array([point for point in _POINTS if low <= point <= high])
    if len(points) < len(_POINTS) // 3:
        return None
    scale, shift = given.scale.reshape(-1, 1), given.shift.reshape(-1, 1)
    for function in _functions_after(editor, tensor, node):
        as_it_is = function(editor, np.tile(points, (len(scale), 1)))
        mapped = function(editor, scale * points + shift)
        rest = _rest(mapped, as_it_is) if inverse else _rest(as_it_is, mapped)
        found = np.flatnonzero((scale[:, 0] != 0) & (rest > 0))
        if found.size:
            return f"the best weights after it are wrong by {rest[found[0]]:.3g} in channel {found[0]}"
    return None


def swaps_ends(editor: GraphEditor, tensor: str, node: onnx.NodeProto, negative: NDArray[np.bool_]) -> str | None:
    """Why no weights after a node and no shift before it make up for a negative scale; None where that is not shown.

    A function that grows at one end only would have to grow at the other.

    Args:
        editor: of the graph.
        tensor: that the node reads, which reaches every number.
        node: the node.
        negative: the channels whose scale is negative.
    """
    if not negative.any():
        return None
    for function in _functions_after(editor, tensor, node):
        grown = np.abs(function(editor, _FAR) - function(editor, _NEAR))[[0, -1]]
        if (grown < _SIGNIFICANT).sum() == 1 and (grown > 1).sum() == 1:
            return f"it grows at one end only, and the scale of channel {int(np.argmax(negative))} is negative"
    return None


def _rest(one: Float64, other: Float64) -> Float64:
    """Largest difference of a * one + b to the other, a and b by least squares; 0 where it is not significant.

    Args:
        one, other: values at the same points, a row for each channel.
    """
    with np.errstate(all="ignore"):  # values that are not finite give a NaN
        centred, wanted = (values - values.mean(axis=1, keepdims=True) for values in (one, other))
        power = (centred**2).sum(axis=1)
        slope = np.divide((centred * wanted).sum(axis=1), power, out=np.zeros_like(power), where=power > 0)
        rest: Float64 = np.abs(wanted - slope[:, None] * centred).max(axis=1)
        is_significant = rest > _SIGNIFICANT * np.ptp(other, axis=1)
    return np.where(is_significant & np.isfinite(rest), rest, 0.0)


def _differ(have: float, need: float) -> bool:
    if np.isinf(have) or np.isinf(need):
        return have != need
    return abs(have - need) > _SIGNIFICANT * max(1.0, abs(have), abs(need))


def _range(near: Float64, far: Float64) -> tuple[float, float]:
    """The smallest and largest value; what grows with the grid is infinite."""
    low = -inf if far.min() < near.min() - 1 else float(near.min())
    high = inf if far.max() > near.max() + 1 else float(near.max())
    return low, high


def _function_before(editor: GraphEditor, node: onnx.NodeProto) -> _Function | None:
    nodes: list[onnx.NodeProto] = []
    given = {node.output[0]: None}  # in order, so that the result is always the same
    while len(nodes) < _MOST_NODES:
        last = next((found for name in given if (found := _elementwise(editor, editor.producer(name)))), None)
        if last is None or (len(given) == 1 and nodes and not _is_single(editor, last)):
            break
        nodes.append(last)
        given.pop(last.output[0])
        given |= dict.fromkeys(name for name in last.input if name and editor.constant(name) is None)
    in_order = tuple(candidate for candidate in editor.nodes if any(candidate is one for one in nodes))
    return _Function(in_order, next(iter(given)), node.output[0]) if nodes and len(given) == 1 else None


def _functions_after(editor: GraphEditor, tensor: str, node: onnx.NodeProto) -> Iterable[_Function]:
    if not _elementwise(editor, node):
        return
    nodes: list[onnx.NodeProto] = []
    known = {tensor}
    waiting = [node, *(user for user in editor.users(tensor) if user is not node)]
    while waiting:
        user = waiting.pop(0)
        read = {name for name in user.input if name and editor.constant(name) is None}
        if _elementwise(editor, user) and read <= known and not any(user is one for one in nodes):
            nodes.append(user)
            known.add(user.output[0])
            waiting += editor.users(user.output[0])
    in_order = tuple(candidate for candidate in editor.nodes if any(candidate is one for one in nodes))
    for one in in_order:
        readers = editor.users(one.output[0])
        if one.output[0] in editor.outputs or any(not any(reader is inner for inner in nodes) for reader in readers):
            yield _Function(in_order, tensor, one.output[0])


def _is_single(editor: GraphEditor, node: onnx.NodeProto) -> bool:
    return sum(editor.constant(name) is None for name in node.input if name) == 1


def _elementwise(editor: GraphEditor, node: onnx.NodeProto | None) -> onnx.NodeProto | None:
    """The node, if it computes each value from values at the same place, and numbers."""
    if node is None or not is_standard(node, *_ELEMENTWISE):
        return None
    constants = [value for name in node.input if name and (value := editor.constant(name)) is not None]
    return node if all(value.size == 1 for value in constants) else None


def reach(editor: GraphEditor, tensor: str) -> tuple[float, float] | None:
    """The values that a tensor has in some run, in every channel; None where that is not known."""
    return _reach(editor, tensor, {})


def _reach(editor: GraphEditor, tensor: str, seen: dict[str, tuple[float, float] | None]) -> tuple[float, float] | None:
    if tensor not in seen:
        seen[tensor] = None
        node = editor.producer(tensor)
        if node is None:
            seen[tensor] = EVERY_NUMBER if tensor in editor.inputs else None
        else:
            seen[tensor] = _reach_of_output(editor, node, seen)
    return seen[tensor]


def _reach_of_output(
    editor: GraphEditor, node: onnx.NodeProto, seen: dict[str, tuple[float, float] | None]
) -> tuple[float, float] | None:
    computed = [name for name in node.input if name and editor.constant(name) is None]
    if is_standard(node, *_LINEAR) and computed == node.input[:1]:
        return EVERY_NUMBER
    if is_standard(node, *_SAME_VALUES, "MatMul"):
        return (
            _reach_of_product(editor, node, seen) if node.op_type == "MatMul" else _reach(editor, node.input[0], seen)
        )
    if is_standard(node, "Concat") and len(computed) == len(node.input):
        parts = [part for name in computed if (part := _reach(editor, name, seen)) is not None]
        return (max(low for low, _ in parts), min(high for _, high in parts)) if len(parts) == len(computed) else None
    if is_standard(node, "Add", "Sub", "BatchNormalization") or _is_scaling(editor, node):
        return EVERY_NUMBER if any(_reach(editor, name, seen) == EVERY_NUMBER for name in computed) else None
    function = _function_before(editor, node)
    if function is None or _reach(editor, function.given, seen) != EVERY_NUMBER:
        return None
    return _range(function(editor, _NEAR), function(editor, _FAR))


def _is_scaling(editor: GraphEditor, node: onnx.NodeProto) -> bool:
    """Whether a node multiplies by numbers, none of them 0: one for each channel, as a layer that is kept does."""
    values = [editor.constant(name) for name in node.input] if is_standard(node, "Mul") else []
    return any(value is not None and value.all() for value in values)


def _reach_of_product(
    editor: GraphEditor, node: onnx.NodeProto, seen: dict[str, tuple[float, float] | None]
) -> tuple[float, float] | None:
    """Means of equal values have that value. Two tensors that come from different nodes are taken to vary freely."""
    mean_of = operand_of_means(editor, node)
    if mean_of is not None:
        return _reach(editor, mean_of, seen)
    is_free = all(_reach(editor, name, seen) == EVERY_NUMBER for name in node.input)
    return EVERY_NUMBER if is_free and len({origin(editor, name) for name in node.input}) == 2 else None


def origin(editor: GraphEditor, tensor: str) -> str:
    """The tensor whose values, all of them, a tensor has in other places."""
    while (node := editor.producer(tensor)) is not None and is_standard(node, *SHAPES):
        tensor = node.input[0]
    return tensor
