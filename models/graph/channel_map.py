"""The affine map per channel that folding moves through a graph, and the edits that absorb it.

y[..., k, ...] = scale[k] * x[..., k, ...] + shift[k]          k runs along `axis`
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import onnx

from models.batchnorm import Float64
from models.graph.editor import GraphEditor
from models.graph.nodes import Dim, label


class Refusal(Exception):
    """A map cannot be folded this way. Users see the text, as the reason why a layer is kept.

    Attributes:
        proven: whether the text shows that no numbers in place of the weights on this side would do.
        is_of_sign: whether it does so by a negative scale alone, whatever the shift is.
    """

    def __init__(self, reason: str, *, proven: bool = False, is_of_sign: bool = False) -> None:
        super().__init__(reason)
        self.proven = proven
        self.is_of_sign = is_of_sign

    def because(self, evidence: str | None) -> "Refusal":
        """The refusal with evidence for it, or itself where there is none."""
        return self if evidence is None else Refusal(f"{self}: {evidence}", proven=True)


@dataclass(frozen=True)
class ChannelMap:
    """The map, seen at one tensor.

    Attributes:
        axis: of the tensor, not negative.
        scale, shift: one number for each index along `axis`, float64.
    """

    axis: int
    scale: Float64
    shift: Float64

    @property
    def has_shift(self) -> bool:
        """Whether any shift is not 0."""
        return bool(self.shift.any())

    @property
    def is_identity(self) -> bool:
        """Whether every scale is 1 and every shift 0."""
        return not self.has_shift and bool((self.scale == 1).all())

    @property
    def is_uniform(self) -> bool:
        """Whether every channel has the same map, so that it can be stated on any axis."""
        return bool((self.scale == self.scale[0]).all() and (self.shift == self.shift[0]).all())

    def inverse(self) -> "ChannelMap":
        """The map back: x = y / s - t / s. No scale may be 0."""
        return replace(self, scale=1 / self.scale, shift=-self.shift / self.scale)

    def scaling(self) -> "ChannelMap":
        """The map without its shift."""
        return replace(self, shift=np.zeros_like(self.shift))

    def channels(self, start: int, stop: int) -> "ChannelMap":
        """The map of the channels from `start` up to `stop`."""
        return replace(self, scale=self.scale[start:stop], shift=self.shift[start:stop])

    def along(self, axis: int, size: Dim) -> "ChannelMap":
        """The same map stated on `axis`, which has `size` indices.

        Raises:
            Refusal: the map differs along another axis.
        """
        if self.axis == axis and len(self.scale) == size:
            return self
        if self.is_uniform and isinstance(size, int):
            return ChannelMap(axis, np.full(size, self.scale[0]), np.full(size, self.shift[0]))
        raise Refusal(f"the channels move to axis {self.axis}, and the weights need them on axis {axis}")

    def broadcast(self, rank: int) -> tuple[Float64, Float64]:
        """Scale and shift in the shape that broadcasts against a tensor of this rank: (C, 1, ..., 1)."""
        shape = (-1,) + (1,) * (rank - self.axis - 1)
        return self.scale.reshape(shape), self.shift.reshape(shape)

    def regroup(self, node: onnx.NodeProto, before: Sequence[Dim], after: Sequence[Dim]) -> "ChannelMap":
        """The map after the tensor is reshaped from `before` to `after`; both may have free sizes.

        Along the flat index f the map repeats itself: with B values behind each channel, f belongs to channel
        ``(f // B) % C``. An axis of the new shape that these stretches fill evenly can carry the map, e.g. (N, C, L)
        -> (N, C * L) as ``scale[k // L]``. Where they lie across two axes, neither can, unless the map is the same
        along one of them.

        Raises:
            Refusal: no axis of the new shape can carry the map, or the sizes needed are not known.
        """
        before, after = list(before), list(after)
        # Free sizes behind the channels may stay where they are, as in (N, C, length) -> (N, C, 1, length).
        while any(isinstance(dim, str) for dim in before[self.axis + 1 :]) and after and before[-1] == after[-1]:
            before.pop()
            after.pop()
        behind = known_sizes(node, before[self.axis + 1 :])
        pattern = np.stack([self.scale, self.shift], axis=-1).repeat(prod(behind), axis=0)
        if self.is_uniform:
            pattern = pattern[:1]
        first = len(after)
        while first and isinstance(after[first - 1], int):
            first -= 1
            sizes = known_sizes(node, after[first:])
            if prod(sizes) % len(pattern) == 0:
                tiled = np.tile(pattern, (prod(sizes) // len(pattern), 1)).reshape(*sizes, 2)
                for axis in range(len(sizes)):
                    line = tiled[tuple(slice(None) if i == axis else slice(1) for i in range(len(sizes)))]
                    if (tiled == line).all():
                        scale, shift = np.ascontiguousarray(line.reshape(-1, 2).T)
                        return ChannelMap(first + axis, scale, shift)
                break
        raise Refusal(f"{label(node)} mixes channels with other axes")


Edit = Callable[[], None]


@dataclass(frozen=True)
class Step:
    """How one node handles a map.

    Attributes:
        edits: to apply if every branch ends in weights; empty for a node that only passes the map on.
        onward: the maps that are passed on, by slot of the node's inputs (backward) or outputs (forward).
        is_choice: whether other maps could be passed on, so that a refusal of these proves nothing.
    """

    edits: tuple[Edit, ...] = ()
    onward: tuple[tuple[int, ChannelMap], ...] = ()
    is_choice: bool = False


def rewrite(editor: GraphEditor, node: onnx.NodeProto, slot: int, value: Float64, like: int | None = None) -> Edit:
    """The edit that makes input `slot` of the node the constant `value`, in the type of that input (or of `like`).

    Raises:
        Refusal: a number would not be finite in that type.
    """
    element_type = editor.element_type(node.input[slot if like is None else like])
    _check(editor, node, value, element_type)
    return lambda: editor.set_constant(node, slot, value, element_type)


def add_after(editor: GraphEditor, node: onnx.NodeProto, value: Float64) -> Edit:
    """The edit that adds a constant to the output of the node.

    Raises:
        Refusal: a number would not be finite in the output's type.
    """
    _check(editor, node, value, editor.element_type(node.output[0]))
    return lambda: editor.add_after(node, value)


def weights(editor: GraphEditor, node: onnx.NodeProto, slot: int) -> Float64:
    """The constant at input `slot`, float64.

    Raises:
        Refusal: that input is computed, or an input of the graph.
    """
    value = editor.constant(node.input[slot])
    if value is None:
        raise Refusal(f"input '{node.input[slot]}' of {label(node)} is not a constant")
    return value.astype(np.float64, copy=False)


def bias(editor: GraphEditor, node: onnx.NodeProto) -> Float64:
    """The constant at the third input, float64; 0 where there is none.

    Raises:
        Refusal: that input is computed, or an input of the graph.
    """
    return weights(editor, node, 2) if has_input(node, 2) else np.zeros(())


def has_input(node: onnx.NodeProto, slot: int) -> bool:
    """Whether the optional input is given."""
    return len(node.input) > slot and bool(node.input[slot])


def known_sizes(node: onnx.NodeProto, dims: Sequence[Dim]) -> list[int]:
    """The dims as numbers.

    Raises:
        Refusal: one of them is free.
    """
    sizes = [dim for dim in dims if isinstance(dim, int)]
    if len(sizes) < len(dims):
        raise Refusal(f"{label(node)} needs sizes that are only known when it runs")
    return sizes


def shape(editor: GraphEditor, tensor: str) -> tuple[Dim, ...]:
    """The shape of a tensor, its rank known.

    Raises:
        Refusal: the rank is not known.
    """
    known = editor.shape(tensor)
    if known is None:
        raise Refusal(f"the shape of '{tensor}' is not known")
    return known


def unchanged_size(editor: GraphEditor, node: onnx.NodeProto, axis: int) -> Dim:
    """The size of an axis that a node does not change.

    Raises:
        Refusal: the node changes it.
    """
    before, after = shape(editor, node.input[0])[axis], shape(editor, node.output[0])[axis]
    if before != after:
        raise Refusal(f"{label(node)} changes the number of channels")
    return before


def _check(editor: GraphEditor, node: onnx.NodeProto, value: Float64, element_type: int) -> None:
    if editor.overflows(value, element_type):
        raise Refusal(f"a weight of {label(node)} would overflow its type ({np.abs(value).max():.3g})")
