"""Operators that let an affine map per channel pass, in either direction: f(s * x + t) = s * f(x) + t.

Each is stated once, as the relation between the map at the node's input and the one at its output.
"""

from collections.abc import Callable, Sequence

import numpy as np
import onnx

from models.batchnorm import Float64
from models.graph.editor import GraphEditor
from models.graph.folding.borders import find_uneven
from models.graph.folding.channel_map import ChannelMap, Refusal
from models.graph.folding.parts import gathered, sliced
from models.graph.folding.step import has_input, shape, unchanged_size
from models.graph.nodes import FLOATS, Dim, integer, integers, label
from models.graph.nodes import attribute as attribute_of

Passing = Callable[[GraphEditor, onnx.NodeProto, ChannelMap, bool], ChannelMap]
"""(graph, node, map on one side, whether that side is the output) -> map on the other side, or `Refusal`."""


def _same(_editor: GraphEditor, _node: onnx.NodeProto, known: ChannelMap, _backward: bool) -> ChannelMap:
    return known


def _dropout(editor: GraphEditor, node: onnx.NodeProto, known: ChannelMap, _backward: bool) -> ChannelMap:
    if has_input(node, 2):
        training = editor.constant(node.input[2])
        if training is None or training.any():
            raise Refusal(f"{label(node)} may run in training mode")
    return known


def _cast(editor: GraphEditor, node: onnx.NodeProto, known: ChannelMap, _backward: bool) -> ChannelMap:
    types = {editor.element_type(node.input[0]), editor.element_type(node.output[0])}
    if len(types) != 1 or not types <= FLOATS:
        raise Refusal(f"{label(node)} changes the type")
    return known


def _transpose(editor: GraphEditor, node: onnx.NodeProto, known: ChannelMap, backward: bool) -> ChannelMap:
    rank = len(shape(editor, node.input[0]))
    perm = integers(node, "perm") or list(reversed(range(rank)))
    return known.renumber(perm.__getitem__ if backward else perm.index)


def _reshape(editor: GraphEditor, node: onnx.NodeProto, known: ChannelMap, backward: bool) -> ChannelMap:
    before, after = shape(editor, node.input[0]), shape(editor, node.output[0])
    before, after = _complete(before, after), _complete(after, before)
    return known.regroup(node, after, before) if backward else known.regroup(node, before, after)


def _complete(dims: Sequence[Dim], other: Sequence[Dim]) -> tuple[Dim, ...]:
    """The sizes of a reshaped tensor. A single free one follows from the other shape, if that has no such one."""
    shared = {dim for dim in dims if not isinstance(dim, int)} & {dim for dim in other if not isinstance(dim, int)}
    free = [axis for axis, dim in enumerate(dims) if not isinstance(dim, int) and dim not in shared]
    known, whole = ([dim for dim in shape if isinstance(dim, int)] for shape in (dims, other))
    is_other_known = len(whole) + len(shared) == len(other) and len(known) + len(shared) + len(free) == len(dims)
    if len(free) != 1 or not is_other_known or None in shared or 0 in known or np.prod(whole) % np.prod(known):
        return tuple(dims)
    return tuple(int(np.prod(whole) // np.prod(known)) if axis == free[0] else dim for axis, dim in enumerate(dims))


def _on_axis_1(editor: GraphEditor, node: onnx.NodeProto, known: ChannelMap) -> ChannelMap:
    dims: tuple[Dim, ...] = shape(editor, node.input[0])
    return known.along(1, dims[1])


def _average_pool(editor: GraphEditor, node: onnx.NodeProto, known: ChannelMap, _backward: bool) -> ChannelMap:
    # A mean of s * x + t is s * mean + t only if nothing but x is counted. With count_include_pad the padding is
    # counted too, and so are, in some runtimes, the positions that ceil_mode adds at the end.
    if integer(node, "count_include_pad", 0) and known.has_shift:
        if integer(node, "ceil_mode", 0):
            raise Refusal(f"the padding of {label(node)} is counted differently by different runtimes")
        kernel = integers(node, "kernel_shape")
        taps = np.multiply.outer(known.shift, np.full(kernel, 1 / np.prod(kernel)))
        require_even(node, taps, shape(editor, node.input[0])[2:])
    return _on_axis_1(editor, node, known)


def _global_average_pool(editor: GraphEditor, node: onnx.NodeProto, known: ChannelMap, _backward: bool) -> ChannelMap:
    return _on_axis_1(editor, node, known)


def _rectifier(_editor: GraphEditor, node: onnx.NodeProto, known: ChannelMap, backward: bool) -> ChannelMap:
    if known.has_shift or (known.scale < 0).any():
        raise Refusal(f"{label(node)} is between the layer and the weights {'before' if backward else 'after'} it")
    return known


def _max_pool(editor: GraphEditor, node: onnx.NodeProto, known: ChannelMap, _backward: bool) -> ChannelMap:
    # The padding is minus infinity here, so a shift changes nothing.
    if (known.scale < 0).any():
        raise Refusal(
            f"the scale of channel {int(np.argmin(known.scale))} is negative, so {label(node)} would return minima",
            proven=bool(np.prod(integers(node, "kernel_shape")) > 1),
            is_of_sign=True,
        )
    if any(node.output[1:]):
        raise Refusal(f"{label(node)} also returns the indices of its maxima")
    return _on_axis_1(editor, node, known)


def reduced(editor: GraphEditor, node: onnx.NodeProto, known: ChannelMap, /, backward: bool) -> ChannelMap:
    """The map on the other side of a node that reduces axes along which the map is always the same.

    Raises:
        Refusal: the map differs along one of them.
    """
    rank, axes = len(shape(editor, node.input[0])), reduced_axes(editor, node)
    # axes of the input in the order in which they appear in the output; -1 for an axis of size 1 that stands for many
    if integer(node, "keepdims", 1):
        visible = [-1 if axis in axes else axis for axis in range(rank)]
    else:
        visible = [axis for axis in range(rank) if axis not in axes]
    if any(visible[axis] < 0 if backward else axis not in visible for axis in known.axes):
        raise Refusal(f"{label(node)} {'adds up' if node.op_type == 'ReduceSum' else 'averages over'} the channels")
    return known.renumber(visible.__getitem__ if backward else visible.index)


def reduced_axes(editor: GraphEditor, node: onnx.NodeProto) -> set[int]:
    """The axes of its input that a node reduces.

    Raises:
        Refusal: they are only known when it runs.
    """
    rank = len(shape(editor, node.input[0]))
    every = () if integer(node, "noop_with_empty_axes", 0) else range(rank)
    return {axis % rank for axis in _axes(editor, node)} or set(every)


def _axes(editor: GraphEditor, node: onnx.NodeProto) -> list[int]:
    if not has_input(node, 1):  # an attribute before opset 18
        return integers(node, "axes")
    axes = editor.constant(node.input[1])
    if axes is None:
        raise Refusal(f"the axes of {label(node)} are computed")
    return [int(axis) for axis in axes.reshape(-1)]


def _slice(editor: GraphEditor, node: onnx.NodeProto, known: ChannelMap, backward: bool) -> ChannelMap:
    # Where others read other positions, the map is that of these alone.
    is_shared = backward and len(editor.value_users(node.input[0])) > 1
    for axis in range(len(shape(editor, node.input[0]))) if is_shared else known.axes:
        part = sliced(editor, node, axis)
        if part is not None and backward:
            known = part.of_input(node, known)
        elif part is not None:
            known = part.of_output(known)
    return known


def _resize(editor: GraphEditor, node: onnx.NodeProto, known: ChannelMap, _backward: bool) -> ChannelMap:
    # Every value of the result is one of the values, or a mean of some whose weights add up to 1; cubic ones as well.
    if attribute_of(node, "coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        raise Refusal(f"{label(node)} may see values that are not in its input")
    return known.along(known.axis, unchanged_size(editor, node, known.axis))


def _pad(editor: GraphEditor, node: onnx.NodeProto, known: ChannelMap, _backward: bool) -> ChannelMap:
    # Of values of the tensor; `models.graph.folding.padding` is about constants.
    return known.along(known.axis, unchanged_size(editor, node, known.axis))


def _gather(editor: GraphEditor, node: onnx.NodeProto, known: ChannelMap, backward: bool) -> ChannelMap:
    rank, width = (len(shape(editor, name)) for name in node.input[:2])
    chosen = integer(node, "axis", 0) % rank
    # The axes of the indices stand in the place of the one that they choose from.
    is_chosen = any(chosen <= axis < chosen + (width if backward else 1) for axis in known.axes)
    if is_chosen and width != 1 and (known.axes == (chosen,) or width > 1):
        raise Refusal(f"{label(node)} takes some of the channels")
    # Where others read other indices of an axis, the map is that of this one alone.
    if is_chosen or (backward and width == 0 and len(editor.value_users(node.input[0])) > 1):
        part = gathered(editor, node)
        if part is not None:
            return part.of_input(node, known) if backward else part.of_output(known)
        if is_chosen:
            raise Refusal(f"{label(node)} takes some of the channels")
    moved = (1 - width) if backward else (width - 1)
    return known.renumber(lambda axis: axis + moved * (axis >= chosen))


def _depth_to_space(editor: GraphEditor, node: onnx.NodeProto, known: ChannelMap, backward: bool) -> ChannelMap:
    interleaved = attribute_of(node, "mode", "DCR") == "CRD" and node.op_type == "DepthToSpace"
    blocks = integer(node, "blocksize", 1) ** 2
    on = _on_axis_1(editor, node, known) if not backward else known.along(1, shape(editor, node.output[0])[1])
    if backward == (node.op_type == "DepthToSpace"):  # one channel becomes `blocks` channels, whose maps are its own
        spread = np.repeat if interleaved else np.tile
        return ChannelMap.on(1, spread(on.scale, blocks), spread(on.shift, blocks))
    arrangement = (-1, blocks) if interleaved else (blocks, -1)
    lines = [
        values.reshape(arrangement).T if interleaved else values.reshape(arrangement) for values in (on.scale, on.shift)
    ]
    if not all((line == line[0]).all() for line in lines):
        raise Refusal(f"{label(node)} mixes channels with positions")
    return ChannelMap.on(1, lines[0][0], lines[1][0])


def require_even(node: onnx.NodeProto, taps: Float64, sizes: Sequence[Dim]) -> None:
    """Check that the zero padding of a node takes nothing from a shift.

    Args:
        node: a Conv or AveragePool.
        taps: what each tap of the kernel makes of the shift, shape (M, *kernel).
        sizes: of the image.

    Raises:
        Refusal: at the border the shift has another effect.
    """
    uneven = find_uneven(node, taps, sizes)
    if uneven is not None:
        channel, largest, smallest = uneven
        raise Refusal(
            f"the zero padding of {label(node)} cannot take the shift, which adds {largest:.3g} to channel {channel} "
            f"at one position and {smallest:.3g} at another",
            proven=largest - smallest > 1e-3 * max(abs(largest), abs(smallest)),
        )


PASSING: dict[str, Passing] = {
    "Identity": _same,
    "Dropout": _dropout,
    "Cast": _cast,
    "Transpose": _transpose,
    "Reshape": _reshape,
    "Flatten": _reshape,
    "Squeeze": _reshape,
    "Unsqueeze": _reshape,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_average_pool,
    "MaxPool": _max_pool,
    "GlobalMaxPool": _max_pool,
    "Relu": _rectifier,
    "LeakyRelu": _rectifier,
    "ReduceMean": reduced,
    "Slice": _slice,
    "Gather": _gather,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _depth_to_space,
    "Resize": _resize,
    "Pad": _pad,
}
