"""Merges parallel branches of the served graph: convolutions of one tensor that are added become one convolution.

    conv(x, V) + conv(x, W) = conv(x, V + W)                    where the smaller kernel is laid into the larger one
    conv(x, V) - conv(x, W) = conv(x, V - W)
    conv(x, W) + (s x + t)  = conv(x, W + diag(s)) + t          where the convolution keeps channels and positions
    s conv(x, W) + t        = conv(x, s W) + t                  for a scale and a shift after either

This is the re-parameterisation of RepVGG (Ding et al. 2021) and MobileOne (Vasu et al. 2023), and the only way in which
a layer on a branch of its own can fold. It is for predictions: where branches are one, no layer on them can be read, so
the observed graph keeps them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from models.batchnorm import Float64
from models.graph.editor import GraphEditor
from models.graph.folding.channel_map import Refusal
from models.graph.folding.step import bias, has_input, rewrite, weights
from models.graph.nodes import attribute, integer, integers, is_standard, label
from models.stored_graph import NO_WEIGHTS, Weights


@dataclass(frozen=True)
class Merged:
    """A graph whose parallel branches are merged, and where they went.

    Attributes:
        model: the graph.
        into: by the name of each node that was removed: the convolution that does its work.
    """

    model: onnx.ModelProto
    into: dict[str, str]


@dataclass(frozen=True)
class _Conv:
    """A convolution without dilation.

    Attributes:
        node: of the graph.
        weight: shape (M, C / group, *kernel).
        bias: shape (M,), or () where there is none.
        group: number of groups.
        strides: one for each position axis.
        before, after: padding, one number for each position axis.
    """

    node: onnx.NodeProto
    weight: Float64
    bias: Float64
    group: int
    strides: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def kernel(self) -> tuple[int, ...]:
        return self.weight.shape[2:]


def merge(folded: onnx.ModelProto, weights: Weights = NO_WEIGHTS) -> Merged:
    """Merge what can be merged exactly; `folded` is not changed.

    Args:
        folded: as `models.graph.fold.fold` returns it.
        weights: files that tensors of the graph are in.
    """
    editor = GraphEditor(folded, weights)
    into: dict[str, str] = {}
    for node in editor.nodes.copy():  # inner sums come first, so that three branches are merged two by two
        if is_standard(node, "Add", "Sub", "Mul") and len(node.input) == 2:
            for one, other in ((0, 1), (1, 0)):
                try:
                    rule = _absorb if editor.constant(node.input[other]) is not None else _merge
                    into |= rule(editor, node, one, other)
                except Refusal:
                    continue
                break
    return Merged(editor.finish() if into else folded, into)


def _absorb(editor: GraphEditor, node: onnx.NodeProto, one: int, constant: int) -> dict[str, str]:
    """Take the scale or the shift after a convolution into it.

    Args:
        node: the Mul, Add or Sub.
        one: its input that a convolution computes.
        constant: its other input.

    Raises:
        Refusal: there is no such convolution, or the constant is not one for each channel.
    """
    conv = _read_conv(editor, node.input[one], node)
    value = _per_channel(editor, node, constant, conv)
    if is_standard(node, "Mul"):
        weight, shift = conv.weight * value.reshape(-1, *[1] * (conv.weight.ndim - 1)), conv.bias * value
    else:
        weight = _sign(node, one) * conv.weight
        shift = _sign(node, one) * conv.bias + _sign(node, constant) * value
    _replace(editor, conv, weight, shift, node, [node])
    return {node.name: label(conv.node)}


def _merge(editor: GraphEditor, add: onnx.NodeProto, one: int, other: int) -> dict[str, str]:
    """Merge a branch into the convolution that computes the other operand of a sum or difference.

    Args:
        add: the sum or difference.
        one: its input that a convolution computes, which stays.
        other: its input whose branch goes.

    Raises:
        Refusal: the branches cannot be merged this way.
    """
    if not is_standard(add, "Add", "Sub"):
        raise Refusal(f"{label(add)} is no sum")
    conv = _read_conv(editor, add.input[one], add)
    branch = _read_scale(editor, add.input[other], add, conv) or _read_conv(editor, add.input[other], add)
    _require_parallel(conv, branch)
    weight = _sign(add, one) * conv.weight
    at = [before - inner for before, inner in zip(conv.before, branch.before, strict=True)]
    inside = tuple(slice(start, start + size) for start, size in zip(at, branch.kernel, strict=True))
    weight[(slice(None), slice(None), *inside)] += _sign(add, other) * branch.weight
    shift = _sign(add, one) * conv.bias + _sign(add, other) * branch.bias
    removed = [add, *_nodes_between(editor, add.input[other], conv.node.input[0])]
    _replace(editor, conv, weight, shift, add, removed)
    return {node.name: label(conv.node) for node in removed}


def _sign(node: onnx.NodeProto, slot: int) -> int:
    """Of an operand in a sum or difference."""
    return -1 if (node.op_type, slot) == ("Sub", 1) else 1


def _replace(
    editor: GraphEditor,
    conv: _Conv,
    weight: Float64,
    shift: Float64,
    last: onnx.NodeProto,
    removed: Sequence[onnx.NodeProto],
) -> None:
    """Have a convolution with other weights do the work of some nodes, of which `last` computes the result.

    Raises:
        Refusal: a number would not be finite in the type of the weights.
    """
    edits = [rewrite(editor, conv.node, 1, weight)]
    if shift.any() or has_input(conv.node, 2):
        edits.append(rewrite(editor, conv.node, 2, np.broadcast_to(shift, weight.shape[:1]), like=1))
    for edit in edits:
        edit()
    for node in removed:
        editor.replace(node, [])
    (computed,), (result,) = conv.node.output, last.output
    editor.redirect(result, computed)
    if result in editor.outputs:
        editor.rename_output(computed, result)


def _read_conv(editor: GraphEditor, tensor: str, user: onnx.NodeProto) -> _Conv:
    """The convolution that computes a tensor for this user alone.

    Raises:
        Refusal: another node computes it, or it has another user.
    """
    node = _producer(editor, tensor, user)
    if not is_standard(node, "Conv"):
        raise Refusal(f"{label(node)} is no convolution")
    weight = weights(editor, node, 1)
    axes = weight.ndim - 2
    pads = integers(node, "pads") or [0] * 2 * axes
    auto = attribute(node, "auto_pad", "NOTSET")
    if auto not in {"NOTSET", "VALID"} or set(integers(node, "dilations")) - {1}:
        raise Refusal(f"{label(node)} is dilated, or padded by the size of its input")
    return _Conv(
        node,
        weight,
        bias(editor, node),
        integer(node, "group", 1),
        tuple(integers(node, "strides") or [1] * axes),
        tuple(pads[:axes]),
        tuple(pads[axes:]),
    )


def _read_scale(editor: GraphEditor, tensor: str, add: onnx.NodeProto, conv: _Conv) -> _Conv | None:
    """The input of the convolution, scaled and shifted by constants, as a convolution with a kernel of one position.

    Returns:
        None where something else is there: a layer that was kept is a Mul and an Add.
    """
    channels, axes = conv.weight.shape[0], len(conv.kernel)
    scale, shift, user = np.ones(channels), np.zeros(channels), add
    while tensor != conv.node.input[0]:
        node = _producer(editor, tensor, user)
        if not is_standard(node, "Add", "Mul"):
            return None
        constants = [slot for slot, name in enumerate(node.input) if editor.constant(name) is not None]
        if len(constants) != 1 or len(node.input) != 2:
            return None
        value = _per_channel(editor, node, constants[0], conv)
        if node.op_type == "Mul":
            scale = scale * value
        else:
            shift = shift + scale * value
        tensor, user = node.input[1 - constants[0]], node
    if channels != conv.weight.shape[1] * conv.group:
        raise Refusal(f"{label(conv.node)} changes the number of channels")
    weight = np.zeros((*conv.weight.shape[:2], *[1] * axes))
    weight[np.arange(channels), np.arange(channels) % conv.weight.shape[1]] = scale.reshape(-1, *[1] * axes)
    none = (0,) * axes
    return _Conv(conv.node, weight, shift, conv.group, (1,) * axes, none, none)


def _per_channel(editor: GraphEditor, node: onnx.NodeProto, slot: int, conv: _Conv) -> Float64:
    """The constant at an input of a node, beside what has the channels and axes of a convolution's output, shape (M,).

    Raises:
        Refusal: it is not one number, or one for each channel, or it would add axes.
    """
    value = weights(editor, node, slot)
    channels, axes = len(conv.weight), len(conv.kernel)
    if value.ndim > axes + 2:
        raise Refusal(f"'{node.input[slot]}' adds axes")
    if value.size != 1 and value.shape not in {(channels, *[1] * axes), (1, channels, *[1] * axes)}:
        raise Refusal(f"'{node.input[slot]}' is not one number for each channel")
    return np.broadcast_to(value.reshape(-1), (channels,))


def _producer(editor: GraphEditor, tensor: str, user: onnx.NodeProto) -> onnx.NodeProto:
    """The node that computes a tensor for this user alone.

    Raises:
        Refusal: there is none, or the tensor is read elsewhere.
    """
    node = editor.producer(tensor)
    if node is None or editor.users(tensor) != [user] or tensor in editor.outputs:
        raise Refusal(f"'{tensor}' is read elsewhere, or an input of the graph")
    return node


def _require_parallel(conv: _Conv, branch: _Conv) -> None:
    """Check that each position of both outputs is computed from the same position of the input.

    Raises:
        Refusal: it is not, or the kernel of the branch does not fit into that of the convolution.
    """
    offsets = [before - inner for before, inner in zip(conv.before, branch.before, strict=True)]
    rests = [after - inner for after, inner in zip(conv.after, branch.after, strict=True)]
    fits = all(
        offset >= 0 and rest >= 0 and offset + size + rest == whole
        for offset, size, rest, whole in zip(offsets, branch.kernel, rests, conv.kernel, strict=True)
    )
    is_parallel = (
        branch.node.input[0] == conv.node.input[0]
        and branch.weight.shape[:2] == conv.weight.shape[:2]
        and (branch.group, branch.strides) == (conv.group, conv.strides)
    )
    if not (fits and is_parallel):
        raise Refusal(f"{label(branch.node)} reads other positions or groups than {label(conv.node)}")


def _nodes_between(editor: GraphEditor, tensor: str, start: str) -> Sequence[onnx.NodeProto]:
    """The nodes of a branch that begins at `start` and ends at `tensor`, the last first."""
    nodes = []
    while tensor != start and (node := editor.producer(tensor)) is not None:
        nodes.append(node)
        tensor = next(name for name in node.input if editor.constant(name) is None)
    return nodes
