"""Folds an affine map into the weights before it: one rule for each operator.

s * (W x + b) + t = (s W) x + (s b + t)                        (Jacob et al. 2018, section 3.2, for BN after Conv)
"""

from collections.abc import Callable

import onnx

from models.batchnorm import Float64
from models.graph.editor import GraphEditor
from models.graph.folding import padding
from models.graph.folding.channel_map import ChannelMap, Refusal
from models.graph.folding.nonlinear import bend_moves, out_of_reach, reach
from models.graph.folding.operands import exceeds_products, of_operand, steps_back
from models.graph.folding.parts import joined_parts, reads_only_identity, split_parts
from models.graph.folding.passing import PASSING, reduced
from models.graph.folding.plan import Plan
from models.graph.folding.shared_weights import differs_between_positions
from models.graph.folding.step import Edit, Step, add_after, bias, has_input, rewrite, shape, weights
from models.graph.nodes import integer, is_standard, label, number

Rule = Callable[[GraphEditor, onnx.NodeProto, ChannelMap], Step]


def plan(editor: GraphEditor, user: onnx.NodeProto, slot: int, required: ChannelMap) -> Plan:
    """The edits after which input `slot` of `user` is ``scale * itself + shift``.

    Nothing is changed yet: every branch of the way back must end in weights.

    Raises:
        Refusal: a branch does not; the text is the reason.
    """
    if editor.constant(user.input[slot]) is not None:
        raise Refusal(f"'{user.input[slot]}' is a constant")
    result = Plan()
    waiting = [(user, slot, required, True)]
    while waiting:
        user, slot, required, is_only_way = waiting.pop()
        tensor = user.input[slot]
        value = editor.constant(tensor)
        if value is not None:
            scale, shift = required.broadcast(value.ndim)
            result.add(user, (rewrite(editor, user, slot, value * scale + shift),))
            continue
        node = editor.producer(tensor)
        result.changed.append((tensor, required))
        try:
            _require_exclusive(editor, tensor, user, required)
            if node is None:
                raise Refusal(f"'{tensor}' is an input of the graph", proven=True)
            found = step(editor, node, tensor, required)
        except Refusal as refusal:
            raise (refusal if is_only_way else Refusal(str(refusal))) from None
        result.add(node, found.edits)
        is_only_way = is_only_way and not found.is_choice
        waiting += [(node, index, passed, is_only_way) for index, passed in found.onward if not passed.is_identity]
    return result


def _require_exclusive(editor: GraphEditor, tensor: str, user: onnx.NodeProto, required: ChannelMap) -> None:
    users = [
        node for node in editor.value_users(tensor) if node is user or not reads_only_identity(editor, node, required)
    ]
    if len(users) > 1:
        other = next((node for node in users if node is not user), user)
        evidence = bend_moves(editor, tensor, other, required, reach(editor, tensor), inverse=True)
        raise Refusal(f"'{tensor}' is also used by {label(other)}").because(evidence)
    if tensor in editor.outputs:
        raise Refusal(f"'{tensor}' is also an output of the graph", proven=True)


def step(editor: GraphEditor, node: onnx.NodeProto, tensor: str, required: ChannelMap) -> Step:
    """How a node has `tensor`, which it computes, become ``scale * tensor + shift``.

    Raises:
        Refusal: it cannot.
    """
    if is_standard(node, "Split"):
        return _split(editor, node, list(node.output).index(tensor), required)
    try:
        if is_standard(node, "Pad") and padding.pads_constant(node):
            return padding.step(editor, node, required, backward=True)
        if is_standard(node, *PASSING):
            return Step(onward=((0, PASSING[node.op_type](editor, node, required, True)),))
        if is_standard(node, *ABSORBING):
            return ABSORBING[node.op_type](editor, node, required)
    except Refusal as refusal:
        if refusal.proven:
            raise
        evidence = out_of_reach(editor, node, required) or differs_between_positions(editor, node, required)
        raise refusal.because(evidence) from None
    between = Refusal(f"{label(node)} is between the layer and the weights before it")
    raise between.because(out_of_reach(editor, node, required))


def _split(editor: GraphEditor, node: onnx.NodeProto, index: int, required: ChannelMap) -> Step:
    """The other parts keep what they are."""
    part = split_parts(editor, node)[index]
    return Step(onward=((0, part.of_input(node, required)),))


def _with_bias(editor: GraphEditor, node: onnx.NodeProto, weight: Float64, new_bias: Float64) -> Step:
    """New weights, and a new bias where there was or must be one."""
    edits: list[Edit] = [rewrite(editor, node, 1, weight)]
    if has_input(node, 2) or new_bias.any():
        edits.append(rewrite(editor, node, 2, new_bias, like=1))
    return Step(tuple(edits))


def _conv(editor: GraphEditor, node: onnx.NodeProto, required: ChannelMap) -> Step:
    weight = weights(editor, node, 1)  # (M, C / group, *kernel)
    on = required.along(1, weight.shape[0])
    scale = on.scale.reshape(-1, *[1] * (weight.ndim - 1))
    return _with_bias(editor, node, weight * scale, bias(editor, node) * on.scale + on.shift)


def _conv_transpose(editor: GraphEditor, node: onnx.NodeProto, required: ChannelMap) -> Step:
    weight = weights(editor, node, 1)  # (C, M / group, *kernel): output channels lie on axis 1, group by group
    group = integer(node, "group", 1)
    on = required.along(1, group * weight.shape[1])
    by_group = weight.reshape(group, -1, *weight.shape[1:])
    scale = on.scale.reshape(group, 1, weight.shape[1], *[1] * (weight.ndim - 2))
    return _with_bias(editor, node, (by_group * scale).reshape(weight.shape), bias(editor, node) * on.scale + on.shift)


def _gemm(editor: GraphEditor, node: onnx.NodeProto, required: ChannelMap) -> Step:
    # Y = alpha * A' @ B' + beta * C: alpha stays; beta is multiplied into C, which may have any shape that broadcasts.
    weight = weights(editor, node, 1)
    columns = 0 if integer(node, "transB", 0) else 1
    on = required.along(1, weight.shape[columns])
    scaled = weight * (on.scale if columns == 1 else on.scale[:, None])
    step = _with_bias(editor, node, scaled, number(node, "beta", 1.0) * bias(editor, node) * on.scale + on.shift)
    if number(node, "beta", 1.0) == 1:
        return step
    return Step((*step.edits, lambda: editor.set_attribute(node, "beta", 1.0)))


def _mat_mul(editor: GraphEditor, node: onnx.NodeProto, required: ChannelMap) -> Step:
    rank = len(shape(editor, node.output[0]))
    left, right = (editor.constant(name) for name in node.input)
    if right is not None and right.ndim >= 2:  # (..., K, N): channels are columns, the last axis of the result
        on = required.along(rank - 1, right.shape[-1])
        edits: tuple[Edit, ...] = (rewrite(editor, node, 1, right * on.scale),)
        shift = on.shift
    elif left is not None and left.ndim >= 2 and len(shape(editor, node.input[1])) >= 2:  # (..., M, K): rows
        on = required.along(rank - 2, left.shape[-2])
        edits = (rewrite(editor, node, 0, left * on.scale[:, None]),)
        shift = on.shift[:, None]
    else:
        return _factor(editor, node, required)
    return Step((*edits, add_after(editor, node, shift)) if on.has_shift else edits)


def _sum(editor: GraphEditor, node: onnx.NodeProto, required: ChannelMap) -> Step:
    """By s * (a ± b) + t = (s * a + t) ± s * b. A constant takes the shift, so that the other operand need not."""
    for slot in (0, 1):
        value = editor.constant(node.input[slot])
        if value is not None:
            scale, shift = required.broadcast(len(shape(editor, node.output[0])))
            sign = -1 if (node.op_type, slot) == ("Sub", 1) else 1
            edit = rewrite(editor, node, slot, value * scale + sign * shift)
            onward = ((1 - slot, of_operand(editor, node, 1 - slot, required.scaling())),)
            return Step((edit,), onward, is_choice=True)
    evidence = exceeds_products(editor, node, required)
    if evidence is not None:
        raise Refusal(f"{label(node)} adds products of computed tensors").because(evidence)
    first, second = of_operand(editor, node, 0, required), of_operand(editor, node, 1, required.scaling())
    return Step(onward=((0, first), (1, second)), is_choice=True)


def _product(editor: GraphEditor, node: onnx.NodeProto, required: ChannelMap) -> Step:
    """By s * (c * x) + t = (s * c) * x + t and s * (x / c) + t = x / (c / s) + t."""
    slot = 0 if node.op_type == "Mul" and editor.constant(node.input[0]) is not None else 1
    if editor.constant(node.input[slot]) is None:
        return _factor(editor, node, required)
    scale, shift = required.broadcast(len(shape(editor, node.output[0])))
    factor = weights(editor, node, slot)
    if node.op_type == "Div" and not required.scale.all():
        raise Refusal(f"the divisor of {label(node)} cannot take a scale of 0")
    edit = rewrite(editor, node, slot, factor * scale if node.op_type == "Mul" else factor / scale)
    return Step((edit, add_after(editor, node, shift)) if required.has_shift else (edit,))


def _factor(editor: GraphEditor, node: onnx.NodeProto, required: ChannelMap) -> Step:
    """One of two computed factors takes the scale: one whose weights can, if there is such."""
    evidence = out_of_reach(editor, node, required)
    if evidence is not None:
        raise Refusal(f"{label(node)} multiplies two computed tensors").because(evidence)
    options = steps_back(editor, node, required)
    for option in options:
        ((slot, passed),) = option.onward
        try:
            plan(editor, node, slot, passed)
        except Refusal:
            continue
        return option
    return options[0]


def _reduce_sum(editor: GraphEditor, node: onnx.NodeProto, required: ChannelMap) -> Step:
    """By s * (x + y) + t = (s * x + s * y) + t."""
    _, shift = required.broadcast(len(shape(editor, node.output[0])))
    edits = (add_after(editor, node, shift),) if required.has_shift else ()
    return Step(edits, ((0, reduced(editor, node, required.scaling(), backward=True)),))


def _where(editor: GraphEditor, node: onnx.NodeProto, required: ChannelMap) -> Step:
    """Both tensors of which it takes values take the map."""
    return Step(onward=tuple((slot, of_operand(editor, node, slot, required)) for slot in (1, 2)))


def _concat(editor: GraphEditor, node: onnx.NodeProto, required: ChannelMap) -> Step:
    axis = integer(node, "axis", 1) % len(shape(editor, node.output[0]))
    if axis not in required.axes:
        return Step(onward=tuple((slot, required) for slot in range(len(node.input))))
    parts = joined_parts(editor, node)
    return Step(onward=tuple((slot, part.of_output(required)) for slot, part in enumerate(parts)))


ABSORBING: dict[str, Rule] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _mat_mul,
    "Add": _sum,
    "Sub": _sum,
    "Mul": _product,
    "Div": _product,
    "ReduceSum": _reduce_sum,
    "Where": _where,
    "Concat": _concat,
}
