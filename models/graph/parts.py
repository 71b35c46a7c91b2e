"""Which indices along an axis a Slice, Gather or Split takes of its input, and a map per channel on such parts."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx
from numpy.typing import NDArray

from models.graph.certainty import Certainty, certain
from models.graph.channel_map import ChannelMap, Refusal, has_input, known_sizes, shape
from models.graph.editor import GraphEditor
from models.graph.nodes import integer, integers, is_standard, label


@dataclass(frozen=True)
class Part:
    """The indices along `axis` of a node's input that its output has, in their order."""

    axis: int
    size: int
    indices: NDArray[np.int64]

    def of_input(self, node: onnx.NodeProto, known: ChannelMap) -> ChannelMap:
        """The map at the node's input whose part is `known`: the other channels keep what they are.

        Raises:
            Refusal: a channel is taken twice, with different maps.
        """
        scale, shift = np.ones(self.size), np.zeros(self.size)
        scale[self.indices], shift[self.indices] = known.scale, known.shift
        if (scale[self.indices] != known.scale).any() or (shift[self.indices] != known.shift).any():
            raise Refusal(f"{label(node)} takes a channel twice, and its two copies are normalised differently")
        return ChannelMap(self.axis, scale, shift)

    def of_output(self, known: ChannelMap) -> ChannelMap:
        """The part of a map at the node's input."""
        return ChannelMap(self.axis, known.scale[self.indices], known.shift[self.indices])


class PartialMap:
    """The map of a tensor, put together from the maps of its parts."""

    def __init__(self, tensor: str, axis: int, size: int) -> None:
        self._tensor, self._axis = tensor, axis
        self._scale, self._shift = np.ones(size), np.zeros(size)
        self._is_known, self._certain = np.zeros(size, np.bool_), certain(size)

    def add(self, change: ChannelMap, indices: NDArray[np.int64], known: Certainty) -> None:
        """Add a part, which is a map of the whole tensor at some channels.

        Raises:
            Refusal: another part has a channel that has to become something else.
        """
        both = indices[self._is_known[indices]]
        pairs = ((self._scale, change.scale), (self._shift, change.shift))
        if change.axis != self._axis or not all(np.allclose(one[both], other[both]) for one, other in pairs):
            raise Refusal(f"'{self._tensor}' would have to change in two ways")
        self._scale[indices], self._shift[indices] = change.scale[indices], change.shift[indices]
        self._is_known[indices], self._certain[indices] = True, known[indices]

    def whole(self) -> tuple[str, ChannelMap, Certainty]:
        """The tensor and its map, in which channels of no part stay as they are."""
        return self._tensor, ChannelMap(self._axis, self._scale, self._shift), self._certain


def sliced(editor: GraphEditor, node: onnx.NodeProto, axis: int) -> Part | None:
    """The part that a Slice takes along an axis; None where it takes all.

    Raises:
        Refusal: it is only known when it runs.
    """
    for on, start, end, step in slice_bounds(editor, node):
        if on == axis:
            (size,) = known_sizes(node, [shape(editor, node.input[0])[axis]])
            return Part(axis, size, np.arange(size)[slice(start, end, step)])
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
    """The part that a Gather takes along its axis; None where it takes one index, or adds axes.

    Raises:
        Refusal: it is only known when it runs.
    """
    dims = shape(editor, node.input[0])
    axis = integer(node, "axis", 0) % len(dims)
    if len(shape(editor, node.input[1])) != 1:
        return None
    (size,) = known_sizes(node, [dims[axis]])
    return Part(axis, size, np.array(_integers(editor, node, 1, ""), np.int64) % size)


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
    return tuple(Part(axis, size, np.arange(start, end)) for start, end in pairwise(ends))


def taken(editor: GraphEditor, node: onnx.NodeProto, output: str, axis: int) -> Part | None:
    """The part of its input along an axis that an output of a node is; None where it is no part, or all.

    Raises:
        Refusal: it is only known when it runs.
    """
    part = None
    if is_standard(node, "Slice"):
        part = sliced(editor, node, axis)
    elif is_standard(node, "Gather"):
        part = gathered(editor, node)
    elif is_standard(node, "Split"):
        part = split_parts(editor, node)[list(node.output).index(output)]
    return part if part is not None and part.axis == axis else None


def reads_only_identity(editor: GraphEditor, node: onnx.NodeProto, known: ChannelMap) -> bool:
    """Whether a node takes only channels that a map at its input leaves as they are."""
    if not is_standard(node, "Slice", "Gather"):
        return False
    try:
        part = taken(editor, node, node.output[0], known.axis)
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
