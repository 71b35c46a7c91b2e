"""Which indices along an axis a Slice, Gather or Split takes of its input, and a map per channel on such parts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import onnx
from numpy.typing import NDArray

from models.graph.editor import GraphEditor
from models.graph.folding.certainty import Certainty, certain
from models.graph.folding.channel_map import ChannelMap, Refusal, known_sizes, require_small
from models.graph.folding.step import has_input, shape
from models.graph.nodes import integer, integers, is_standard, label


@dataclass(frozen=True)
class Part:
    """The indices along `axis` of a node's input that its output has, in their order.

    Attributes:
        axis: of the input.
        size: of the axis.
        indices: that are taken.
        is_single: whether it is one index, and the output does not have the axis.
    """

    axis: int
    size: int
    indices: NDArray[np.int64]
    is_single: bool = False

    def of_input(self, node: onnx.NodeProto, known: ChannelMap) -> ChannelMap:
        """The map at the node's input whose part is `known`: the other channels keep what they are.

        Raises:
            Refusal: a channel is taken twice, with different maps.
        """
        if self.is_single:
            known = known.renumber(lambda axis: axis + (axis >= self.axis))
        taken_alone = 1 if self.axis in known.axes else self.size
        require_small(node, [*known.scale.shape, taken_alone])
        part = known.spread(self.axis, len(self.indices))
        at = part.axes.index(self.axis)
        sizes = [
            self.size if axis == self.axis else size for axis, size in zip(part.axes, part.scale.shape, strict=True)
        ]
        scale, shift = np.ones(sizes), np.zeros(sizes)
        chosen = (slice(None),) * at + (self.indices,)
        scale[chosen], shift[chosen] = part.scale, part.shift
        if (scale[chosen] != part.scale).any() or (shift[chosen] != part.shift).any():
            raise Refusal(f"{label(node)} takes a channel twice, and its two copies are normalised differently")
        return replace(part, scale=scale, shift=shift)

    def of_output(self, known: ChannelMap) -> ChannelMap:
        """The part of a map at the node's input."""
        axes, scale, shift = known.axes, known.scale, known.shift
        if self.axis in axes:
            at = axes.index(self.axis)
            indices = self.indices[0] if self.is_single else self.indices
            scale, shift = scale.take(indices, at), shift.take(indices, at)
            axes = (*axes[:at], *axes[at + self.is_single :])
        part = replace(known, axes=axes, scale=scale, shift=shift)
        return part.renumber(lambda axis: axis - (axis > self.axis)) if self.is_single else part

    def mask(self, change: ChannelMap) -> NDArray[np.bool_]:
        """Which entries of a map at the node's input belong to the part, in the shape of the map's scale."""
        at = change.axes.index(self.axis)
        chosen = np.isin(np.arange(self.size), self.indices)
        shape = [self.size if axis == at else 1 for axis in range(len(change.axes))]
        return np.broadcast_to(chosen.reshape(shape), change.scale.shape)


class PartialMap:
    """The map of a tensor, put together from the maps of its parts."""

    def __init__(self, tensor: str, first: ChannelMap) -> None:
        self._tensor = tensor
        self._map = replace(first, scale=np.ones_like(first.scale), shift=np.zeros_like(first.shift))
        self._is_known, self._certain = np.zeros(first.scale.shape, np.bool_), certain(first)

    def add(self, change: ChannelMap, part: Part, known: Certainty) -> None:
        """Add a part, given as a map of the whole tensor.

        Raises:
            Refusal: another part has a channel that has to become something else.
        """
        whole, mine = self._map, part.mask(change)
        if change.axes != whole.axes or change.repeating != whole.repeating:
            raise Refusal(f"'{self._tensor}' would have to change in two ways")
        both = mine & self._is_known
        pairs = ((whole.scale, change.scale), (whole.shift, change.shift))
        if not all(np.allclose(one[both], other[both]) for one, other in pairs):
            raise Refusal(f"'{self._tensor}' would have to change in two ways")
        scale, shift = (np.where(mine, other, one) for one, other in pairs)
        self._map = replace(whole, scale=scale, shift=shift)
        self._is_known, self._certain = self._is_known | mine, np.where(mine, known, self._certain)

    def whole(self) -> tuple[str, ChannelMap, Certainty]:
        """The tensor and its map, in which channels of no part stay as they are."""
        whole, certain = self._map, self._certain
        for at in reversed(range(len(whole.axes))):
            first = replace(whole, scale=whole.scale.take([0], at), shift=whole.shift.take([0], at))
            is_even = (whole.scale == first.scale).all() and (whole.shift == first.shift).all()
            if len(whole.axes) > 1 and is_even and whole.axes[at] != whole.repeating:
                axes = (*whole.axes[:at], *whole.axes[at + 1 :])
                whole = replace(whole, axes=axes, scale=first.scale.squeeze(at), shift=first.shift.squeeze(at))
                certain = certain.min(axis=at)
        return self._tensor, whole, certain


def sliced(editor: GraphEditor, node: onnx.NodeProto, axis: int) -> Part | None:
    """The part that a Slice takes along an axis; None where it takes all.

    Raises:
        Refusal: it is only known when it runs.
    """
    for on, start, end, step in slice_bounds(editor, node):
        if on == axis:
            (size,) = known_sizes(node, [shape(editor, node.input[0])[axis]])
            chosen = range(size)[slice(start, end, step)]
            require_small(node, [len(chosen)])
            return Part(axis, size, np.array(chosen, np.int64))
    return None


def slice_bounds(editor: GraphEditor, node: onnx.NodeProto) -> list[tuple[int, int, int, int]]:
    """Axis, start, end and step of each axis that a Slice names.

    Raises:
        Refusal: they are only known when it runs.
    """
    rank = len(shape(editor, node.input[0]))
    starts, ends = (_integers(editor, node, slot, name) for slot, name in ((1, "starts"), (2, "ends")))
    axes = _integers(editor, node, 3, "axes") or list(range(len(starts)))
    steps = _integers(editor, node, 4, "steps") or [1] * len(starts)
    return [(axis % rank, start, end, step) for axis, start, end, step in zip(axes, starts, ends, steps, strict=True)]


def gathered(editor: GraphEditor, node: onnx.NodeProto) -> Part | None:
    """The part that a Gather takes along its axis; None where it adds axes, or takes one index known when it runs.

    Raises:
        Refusal: it is only known when it runs.
    """
    dims = shape(editor, node.input[0])
    axis = integer(node, "axis", 0) % len(dims)
    rank = len(shape(editor, node.input[1]))
    if rank > 1 or (rank == 0 and editor.constant(node.input[1]) is None):
        return None
    (size,) = known_sizes(node, [dims[axis]])
    return Part(axis, size, np.array(_integers(editor, node, 1, ""), np.int64) % size, is_single=rank == 0)


def split_parts(editor: GraphEditor, node: onnx.NodeProto) -> tuple[Part, ...]:
    """The part that each output of a Split takes.

    Raises:
        Refusal: they are only known when it runs.
    """
    dims = shape(editor, node.input[0])
    axis = integer(node, "axis", 0) % len(dims)
    (size,) = known_sizes(node, [dims[axis]])
    lengths = _integers(editor, node, 1, "split")
    if not lengths:  # equal ones, the last may be smaller
        length = -(-size // len(node.output))
        lengths = [length] * (size // length) + [size % length] * bool(size % length)
    ends = np.cumsum([0, *lengths])
    require_small(node, [int(ends[-1])])
    return tuple(Part(axis, size, np.arange(start, end)) for start, end in pairwise(ends))


def joined_parts(editor: GraphEditor, node: onnx.NodeProto) -> tuple[Part, ...]:
    """The part of the output of a Concat that each of its inputs is: a Split, read backward.

    Raises:
        Refusal: it is only known when it runs.
    """
    axis = integer(node, "axis", 1) % len(shape(editor, node.output[0]))
    ends = np.cumsum([0, *known_sizes(node, [shape(editor, name)[axis] for name in node.input])])
    require_small(node, [int(ends[-1])])
    return tuple(Part(axis, int(ends[-1]), np.arange(start, end)) for start, end in pairwise(ends))


def taken(editor: GraphEditor, node: onnx.NodeProto, output: str, axes: Sequence[int]) -> Part | None:
    """The part of its input along one of the axes that an output of a node is; None where it is no part, or all.

    Raises:
        Refusal: it is only known when it runs.
    """
    part = None
    if is_standard(node, "Slice"):
        parts = [found for axis in axes if (found := sliced(editor, node, axis)) is not None]
        part = parts[0] if len(parts) == 1 else None
    elif is_standard(node, "Gather"):
        part = gathered(editor, node)
    elif is_standard(node, "Split"):
        part = split_parts(editor, node)[list(node.output).index(output)]
    return part if part is not None and part.axis in axes else None


def reads_only_identity(editor: GraphEditor, node: onnx.NodeProto, known: ChannelMap) -> bool:
    """Whether a node takes only channels that a map at its input leaves as they are."""
    if not is_standard(node, "Slice", "Gather"):
        return False
    try:
        part = taken(editor, node, node.output[0], known.axes)
    except Refusal:
        return False
    return part is not None and part.of_output(known).is_identity


def _integers(editor: GraphEditor, node: onnx.NodeProto, slot: int, name: str) -> list[int]:
    """The constant at an input, or the attribute of older opsets; empty where there is neither."""
    if not has_input(node, slot):
        return integers(node, name)
    value = editor.constant(node.input[slot])
    if value is None:
        raise Refusal(f"'{node.input[slot]}' of {label(node)} is only known when it runs")
    return [int(item) for item in value.reshape(-1)]
