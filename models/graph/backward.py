"""Folds an affine map into the weights that come before it: one function for each operator, then the walk.

s * (W x + b) + t = (s W) x + (s b + t)                        (Jacob et al. 2018, section 3.2, for BN after Conv)
"""

from collections.abc import Callable
from itertools import accumulate

import onnx

from models.batchnorm import Float64
from models.graph.channel_map import (
    ChannelMap,
    Edit,
    Refusal,
    Step,
    add_after,
    bias,
    has_input,
    known_sizes,
    rewrite,
    shape,
    weights,
)
from models.graph.nodes import integer, is_standard, label, number
from models.graph.passing import PASSING
from models.graph.plan import Plan
from models.graph.wiring import Wiring

Rule = Callable[[Wiring, onnx.NodeProto, ChannelMap], Step]


def plan(wiring: Wiring, user: onnx.NodeProto, slot: int, wanted: ChannelMap) -> Plan:
    """What to change so that input `slot` of `user` becomes ``scale * itself + shift``.

    Nothing is changed yet: the plan stands only if every branch of the way back ends in weights.

    Raises:
        Refusal: some branch does not, with the reason.
    """
    if wiring.constant(user.input[slot]) is not None:
        raise Refusal(f"'{user.input[slot]}' is a constant")
    result = Plan()
    waiting = [(user, slot, wanted)]
    while waiting:
        user, slot, wanted = waiting.pop()
        tensor = user.input[slot]
        value = wiring.constant(tensor)
        if value is not None:
            scale, shift = wanted.broadcast(value.ndim)
            result.add(user, (rewrite(wiring, user, slot, value * scale + shift),))
            continue
        _require_exclusive(wiring, tensor, user)
        result.touched.append((tensor, wanted))
        node = wiring.producer(tensor)
        if node is None:
            raise Refusal(f"'{tensor}' is an input of the graph")
        step = _step(wiring, node, wanted)
        result.add(node, step.edits)
        waiting += [(node, index, passed) for index, passed in step.onward if not passed.is_identity]
    return result


def _require_exclusive(wiring: Wiring, tensor: str, user: onnx.NodeProto) -> None:
    users = wiring.users(tensor)
    if len(users) > 1:
        other = next((node for node in users if node is not user), user)
        raise Refusal(f"'{tensor}' is also used by {label(other)}")
    if tensor in wiring.outputs:
        raise Refusal(f"'{tensor}' is also an output of the graph")


def _step(wiring: Wiring, node: onnx.NodeProto, wanted: ChannelMap) -> Step:
    if is_standard(node, *PASSING):
        return Step(onward=((0, PASSING[node.op_type](wiring, node, wanted, True)),))
    if is_standard(node, *ABSORBING):
        return ABSORBING[node.op_type](wiring, node, wanted)
    raise Refusal(f"{label(node)} lies between it and the weights before it")


def _with_bias(wiring: Wiring, node: onnx.NodeProto, weight: Float64, new_bias: Float64) -> Step:
    """New weights, and a new bias where there was or must be one."""
    edits: list[Edit] = [rewrite(wiring, node, 1, weight)]
    if has_input(node, 2) or new_bias.any():
        edits.append(rewrite(wiring, node, 2, new_bias, like=1))
    return Step(tuple(edits))


def _conv(wiring: Wiring, node: onnx.NodeProto, wanted: ChannelMap) -> Step:
    weight = weights(wiring, node, 1)  # (M, C / group, *kernel)
    on = wanted.along(1, weight.shape[0])
    scale = on.scale.reshape(-1, *[1] * (weight.ndim - 1))
    return _with_bias(wiring, node, weight * scale, bias(wiring, node) * on.scale + on.shift)


def _conv_transpose(wiring: Wiring, node: onnx.NodeProto, wanted: ChannelMap) -> Step:
    weight = weights(wiring, node, 1)  # (C, M / group, *kernel): output channels lie on axis 1, group by group
    group = integer(node, "group", 1)
    on = wanted.along(1, group * weight.shape[1])
    by_group = weight.reshape(group, -1, *weight.shape[1:])
    scale = on.scale.reshape(group, 1, weight.shape[1], *[1] * (weight.ndim - 2))
    return _with_bias(wiring, node, (by_group * scale).reshape(weight.shape), bias(wiring, node) * on.scale + on.shift)


def _gemm(wiring: Wiring, node: onnx.NodeProto, wanted: ChannelMap) -> Step:
    # Y = alpha * A' @ B' + beta * C: alpha stays; beta is multiplied into C, which may have any shape that broadcasts.
    weight = weights(wiring, node, 1)
    columns = 0 if integer(node, "transB", 0) else 1
    on = wanted.along(1, weight.shape[columns])
    scaled = weight * (on.scale if columns == 1 else on.scale[:, None])
    step = _with_bias(wiring, node, scaled, number(node, "beta", 1.0) * bias(wiring, node) * on.scale + on.shift)
    if number(node, "beta", 1.0) == 1:
        return step
    return Step((*step.edits, lambda: wiring.set_attribute(node, "beta", 1.0)))


def _mat_mul(wiring: Wiring, node: onnx.NodeProto, wanted: ChannelMap) -> Step:
    rank = len(shape(wiring, node.output[0]))
    left, right = (wiring.constant(name) for name in node.input)
    if right is not None and right.ndim >= 2:  # (..., K, N): channels are columns, the last axis of the result
        on = wanted.along(rank - 1, right.shape[-1])
        edits: tuple[Edit, ...] = (rewrite(wiring, node, 1, right * on.scale),)
        shift = on.shift
    elif left is not None and left.ndim >= 2 and len(shape(wiring, node.input[1])) >= 2:  # (..., M, K): rows
        on = wanted.along(rank - 2, left.shape[-2])
        edits = (rewrite(wiring, node, 0, left * on.scale[:, None]),)
        shift = on.shift[:, None]
    else:
        raise Refusal(f"{label(node)} multiplies two computed tensors")
    return Step((*edits, add_after(wiring, node, shift)) if on.has_shift else edits)


def _sum(wiring: Wiring, node: onnx.NodeProto, wanted: ChannelMap) -> Step:
    """By s * (a ± b) + t = (s * a + t) ± s * b. A constant takes the shift, so that less has to go on."""
    scale, shift = wanted.broadcast(len(shape(wiring, node.output[0])))
    for slot in (0, 1):
        value = wiring.constant(node.input[slot])
        if value is not None:
            sign = -1 if (node.op_type, slot) == ("Sub", 1) else 1
            edit = rewrite(wiring, node, slot, value * scale + sign * shift)
            return Step((edit,), ((1 - slot, _operand(wiring, node, 1 - slot, wanted.scaling())),))
    first, second = _operand(wiring, node, 0, wanted), _operand(wiring, node, 1, wanted.scaling())
    return Step(onward=((0, first), (1, second)))


def _operand(wiring: Wiring, node: onnx.NodeProto, slot: int, wanted: ChannelMap) -> ChannelMap:
    """The map at an operand, whose axes are aligned with those of the result from the right."""
    dims = shape(wiring, node.input[slot])
    axis = wanted.axis - len(shape(wiring, node.output[0])) + len(dims)
    if axis < 0 or dims[axis] != len(wanted.scale):
        raise Refusal(f"{label(node)} repeats '{node.input[slot]}' for every channel")
    return ChannelMap(axis, wanted.scale, wanted.shift)


def _product(wiring: Wiring, node: onnx.NodeProto, wanted: ChannelMap) -> Step:
    """By s * (c * x) + t = (s * c) * x + t and s * (x / c) + t = x / (c / s) + t."""
    scale, shift = wanted.broadcast(len(shape(wiring, node.output[0])))
    slot = 0 if node.op_type == "Mul" and wiring.constant(node.input[0]) is not None else 1
    factor = weights(wiring, node, slot)
    if node.op_type == "Div" and not wanted.scale.all():
        raise Refusal(f"a scale of 0 cannot go into the divisor of {label(node)}")
    edit = rewrite(wiring, node, slot, factor * scale if node.op_type == "Mul" else factor / scale)
    return Step((edit, add_after(wiring, node, shift)) if wanted.has_shift else (edit,))


def _concat(wiring: Wiring, node: onnx.NodeProto, wanted: ChannelMap) -> Step:
    axis = integer(node, "axis", 1) % len(shape(wiring, node.output[0]))
    if axis != wanted.axis:
        return Step(onward=tuple((slot, wanted) for slot in range(len(node.input))))
    sizes = known_sizes(node, [shape(wiring, name)[axis] for name in node.input])
    starts = accumulate(sizes, initial=0)
    parts = (wanted.channels(start, start + size) for start, size in zip(starts, sizes, strict=False))
    return Step(onward=tuple(enumerate(parts)))


ABSORBING: dict[str, Rule] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _mat_mul,
    "Add": _sum,
    "Sub": _sum,
    "Mul": _product,
    "Div": _product,
    "Concat": _concat,
}
