"""Folds an affine map into the weights after it: one rule for each operator.

W (s * x + t) + b = (W diag(s)) x + (b + W t)
"""

from collections.abc import Callable
from dataclasses import replace
from math import prod

import numpy as np
import onnx

from models.batchnorm import Float64
from models.graph.editor import GraphEditor
from models.graph.folding import padding
from models.graph.folding.channel_map import ChannelMap, Refusal, known_sizes
from models.graph.folding.nonlinear import EVERY_NUMBER, bend_moves, reach
from models.graph.folding.operands import of_result, step_forward
from models.graph.folding.parts import joined_parts, split_parts
from models.graph.folding.passing import PASSING, reduced, reduced_axes, require_even
from models.graph.folding.plan import Plan
from models.graph.folding.step import Edit, Step, add_after, bias, has_input, rewrite, shape, weights
from models.graph.nodes import integer, is_standard, label, number

Rule = Callable[[GraphEditor, onnx.NodeProto, int, ChannelMap], Step]


def plan(editor: GraphEditor, tensor: str, given: ChannelMap) -> Plan:
    """The edits after which the users of `tensor` compute the same from x as before from ``scale * x + shift``.

    Nothing is changed yet: every branch of the way must end in weights.

    Raises:
        Refusal: a branch does not; the text is the reason.
    """
    result = Plan()
    before = editor.producer(tensor)
    values = None if before is None else reach(editor, before.input[0])
    waiting = [(tensor, given, True)]
    refusals: list[Refusal] = []
    while waiting:
        tensor, given, is_only_way = waiting.pop()
        if tensor in editor.outputs:
            refusals.append(Refusal(f"'{tensor}' is an output of the graph", proven=is_only_way))
        for node in editor.value_users(tensor):
            try:
                if list(node.input).count(tensor) != 1:
                    raise Refusal(f"{label(node)} reads '{tensor}' more than once, or in a subgraph")
                found = step(editor, node, list(node.input).index(tensor), given)
            except Refusal as refusal:
                evidence = None
                if is_only_way and not refusal.proven:
                    evidence = bend_moves(editor, tensor, node, given, values)
                refusals.append(refusal.because(evidence) if is_only_way else Refusal(str(refusal)))
                continue
            result.add(node, found.edits)
            is_only = is_only_way and not found.is_choice
            waiting += [
                (node.output[index], passed, is_only) for index, passed in found.onward if not passed.is_identity
            ]
    if refusals:
        raise next((refusal for refusal in refusals if refusal.proven), refusals[0])
    return result


def step(editor: GraphEditor, node: onnx.NodeProto, slot: int, given: ChannelMap) -> Step:
    """How a node makes up for reading x where it reads ``scale * x + shift``.

    Raises:
        Refusal: it cannot.
    """
    if is_standard(node, "Pad") and slot == 0 and padding.pads_constant(node):
        return padding.step(editor, node, given, backward=False)
    if is_standard(node, *PASSING) and slot == 0:
        return Step(onward=((0, PASSING[node.op_type](editor, node, given, False)),))
    if is_standard(node, *ABSORBING):
        return ABSORBING[node.op_type](editor, node, slot, given)
    raise Refusal(f"{label(node)} is between the layer and the weights after it")


def _conv(editor: GraphEditor, node: onnx.NodeProto, slot: int, given: ChannelMap) -> Step:
    _require_first(node, slot)
    weight = weights(editor, node, 1)  # (M, C / group, *kernel): input channels lie on axis 1, group by group
    group = integer(node, "group", 1)
    on = given.along(1, group * weight.shape[1])
    by_group = weight.reshape(group, -1, *weight.shape[1:])
    per_channel = (group, 1, weight.shape[1], *[1] * (weight.ndim - 2))
    scaled = (by_group * on.scale.reshape(per_channel)).reshape(weight.shape)
    edits: list[Edit] = [rewrite(editor, node, 1, scaled)]
    if on.has_shift:
        taps = (by_group * on.shift.reshape(per_channel)).reshape(weight.shape).sum(axis=1)
        require_even(node, taps, shape(editor, node.input[0])[2:])
        moved = taps.reshape(len(taps), -1).sum(axis=1)
        edits.append(rewrite(editor, node, 2, bias(editor, node) + moved, like=1))
    return Step(tuple(edits))


def _conv_transpose(editor: GraphEditor, node: onnx.NodeProto, slot: int, given: ChannelMap) -> Step:
    _require_first(node, slot)
    weight = weights(editor, node, 1)  # (C, M / group, *kernel)
    on = given.along(1, weight.shape[0])
    if on.has_shift:  # the positions of its output differ in how many positions of its input they see
        raise Refusal(f"{label(node)} would add the shift unevenly")
    return Step((rewrite(editor, node, 1, weight * on.scale.reshape(-1, *[1] * (weight.ndim - 1))),))


def _gemm(editor: GraphEditor, node: onnx.NodeProto, slot: int, given: ChannelMap) -> Step:
    _require_first(node, slot)
    weight = weights(editor, node, 1)
    rows = weight.T if integer(node, "transB", 0) else weight  # (K, N)
    on = given.along(0 if integer(node, "transA", 0) else 1, rows.shape[0])
    scaled = rows * on.scale[:, None]
    edits: list[Edit] = [rewrite(editor, node, 1, scaled.T if integer(node, "transB", 0) else scaled)]
    if on.has_shift:
        moved = number(node, "alpha", 1.0) * (on.shift @ rows)
        edits.append(rewrite(editor, node, 2, number(node, "beta", 1.0) * bias(editor, node) + moved, like=1))
        edits.append(lambda: editor.set_attribute(node, "beta", 1.0))
    return Step(tuple(edits))


def _mat_mul(editor: GraphEditor, node: onnx.NodeProto, slot: int, given: ChannelMap) -> Step:
    if editor.constant(node.input[1 - slot]) is None:
        return step_forward(editor, node, slot, given)
    weight = weights(editor, node, 1 - slot)
    rank = len(shape(editor, node.input[slot]))
    if weight.ndim < 2 or rank < 2:
        raise Refusal(f"{label(node)} multiplies by a vector")
    if slot == 0:  # x (..., M, K) @ W (..., K, N)
        on = given.along(rank - 1, weight.shape[-2])
        scaled, moved = weight * on.scale[:, None], on.shift @ weight
        moved = moved[..., None, :] if weight.ndim > 2 else moved
    else:  # W (..., M, K) @ x (..., K, N)
        on = given.along(rank - 2, weight.shape[-1])
        scaled, moved = weight * on.scale, (weight @ on.shift)[..., None]
    edits = (rewrite(editor, node, 1 - slot, scaled),)
    return Step((*edits, add_after(editor, node, moved)) if moved.any() else edits)


def _recurrent(editor: GraphEditor, node: onnx.NodeProto, slot: int, given: ChannelMap) -> Step:
    """The weights of the input, shape (directions, gates * hidden, size), and the first half of the biases."""
    _require_first(node, slot)
    weight = weights(editor, node, 1)
    on = given.along(2, weight.shape[2])
    edits: list[Edit] = [rewrite(editor, node, 1, weight * on.scale)]
    if on.has_shift:
        directions, rows, _ = weight.shape
        biases = weights(editor, node, 3).copy() if has_input(node, 3) else np.zeros((directions, 2 * rows))
        biases[:, :rows] += weight @ on.shift
        edits.append(rewrite(editor, node, 3, biases, like=1))
    return Step(tuple(edits))


def _product(editor: GraphEditor, node: onnx.NodeProto, slot: int, given: ChannelMap) -> Step:
    """By (s * x + t) * c = x * (s * c) + t * c and (s * x + t) / c = x / (c / s) + t / c."""
    if editor.constant(node.input[1 - slot]) is None:
        return step_forward(editor, node, slot, given)
    factor = _other_constant(editor, node, slot)
    scale, shift = given.broadcast(len(shape(editor, node.input[slot])))
    if node.op_type == "Mul":
        scaled, moved = factor * scale, factor * shift
    else:
        _require_first(node, slot)
        if not given.scale.all():
            raise Refusal(f"the divisor of {label(node)} cannot take a scale of 0")
        scaled, moved = factor / scale, shift / factor
    edits = (rewrite(editor, node, 1 - slot, scaled),)
    if given.has_shift and moved.size == len(given.shift) and _is_shifted(editor, node.output[0]):
        return Step(edits, ((0, ChannelMap.on(given.axis, np.ones(moved.size), moved.reshape(-1))),))
    if given.has_shift and len(editor.value_users(node.input[slot])) > 1:
        # An Add for each reader costs as much as the layer, and hides an activation that is taken apart from runtimes.
        raise Refusal(f"{label(node)} is between the layer and the weights after it")
    return Step((*edits, add_after(editor, node, moved)) if given.has_shift else edits)


def _is_shifted(editor: GraphEditor, tensor: str) -> bool:
    """Whether all that becomes of a tensor is that a constant is added."""
    users = editor.value_users(tensor)
    is_sum = len(users) == 1 and is_standard(users[0], "Add") and tensor not in editor.outputs
    return is_sum and any(editor.constant(name) is not None for name in users[0].input)


def _sum(editor: GraphEditor, node: onnx.NodeProto, slot: int, given: ChannelMap) -> Step:
    """By s * x + t + c = s * (x + (c + t) / s), and likewise for differences. The scale is passed on."""
    constant = _other_constant(editor, node, slot)
    scale, shift = given.broadcast(len(shape(editor, node.input[slot])))
    if not given.scale.all():
        raise Refusal(f"{label(node)} cannot take a scale of 0")
    moved = constant + shift if node.op_type == "Add" else constant - shift
    return Step((rewrite(editor, node, 1 - slot, moved / scale),), ((0, given.scaling()),), is_choice=True)


def _other_constant(editor: GraphEditor, node: onnx.NodeProto, slot: int) -> Float64:
    """The constant operand beside the one in `slot`, whose shape is that of the result.

    Raises:
        Refusal: it is computed, or has more axes.
    """
    value = editor.constant(node.input[1 - slot])
    if value is None or value.ndim > len(shape(editor, node.input[slot])):
        raise Refusal(f"{label(node)} is between the layer and the weights after it")
    return value.astype(np.float64, copy=False)


def _reduce_sum(editor: GraphEditor, node: onnx.NodeProto, _slot: int, given: ChannelMap) -> Step:
    """By sum of (s * x + t) = s * (sum of x) + n * t."""
    passed = reduced(editor, node, given, backward=False)
    if not given.has_shift:
        return Step(onward=((0, passed),))
    dims = shape(editor, node.input[0])
    count = prod(known_sizes(node, [dims[axis] for axis in reduced_axes(editor, node)]))
    return Step(onward=((0, replace(passed, shift=passed.shift * count)),))


def _where(editor: GraphEditor, node: onnx.NodeProto, slot: int, given: ChannelMap) -> Step:
    """By where(c, s * x + t, v) = s * where(c, x, (v - t) / s) + t for a constant v."""
    other = 3 - slot
    if slot == 0 or not given.scale.all():
        raise Refusal(f"{label(node)} is between the layer and the weights after it")
    value = editor.constant(node.input[other])
    if value is None:
        is_mixed = editor.constant(node.input[0]) is None and reach(editor, node.input[other]) == EVERY_NUMBER
        raise Refusal(f"{label(node)} puts other values in the place of those of each channel", proven=is_mixed)
    passed = of_result(editor, node, slot, given)
    scale, shift = passed.broadcast(len(shape(editor, node.output[0])))
    return Step((rewrite(editor, node, other, (value - shift) / scale),), ((0, passed),))


def _concat(editor: GraphEditor, node: onnx.NodeProto, slot: int, given: ChannelMap) -> Step:
    """The other channels keep what they are."""
    axis = integer(node, "axis", 1) % len(shape(editor, node.output[0]))
    if axis not in given.axes:
        raise Refusal(f"{label(node)} puts other values beside those of each channel")
    return Step(onward=((0, joined_parts(editor, node)[slot].of_input(node, given)),))


def _split(editor: GraphEditor, node: onnx.NodeProto, slot: int, given: ChannelMap) -> Step:
    _require_first(node, slot)
    parts = split_parts(editor, node)
    on_channels = parts[0].axis in given.axes
    return Step(
        onward=tuple((index, part.of_output(given) if on_channels else given) for index, part in enumerate(parts))
    )


def _require_first(node: onnx.NodeProto, slot: int) -> None:
    if slot != 0:
        raise Refusal(f"the weights of {label(node)} are computed from it")


ABSORBING: dict[str, Rule] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _mat_mul,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
    "Mul": _product,
    "Div": _product,
    "Add": _sum,
    "Sub": _sum,
    "ReduceSum": _reduce_sum,
    "Where": _where,
    "Concat": _concat,
    "Split": _split,
}
