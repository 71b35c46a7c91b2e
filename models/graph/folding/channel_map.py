"""The affine map per channel that folding moves through a graph.

y[..., k, ...] = scale[k] * x[..., k, ...] + shift[k]                  k runs along one axis
y[..., k, ..., l, ...] = scale[k, l] * x[..., k, ..., l, ...] + shift[k, l]          along several
"""

from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import onnx
from numpy.typing import NDArray

from models.batchnorm import Float64
from models.graph.nodes import Dim, label

_EQUAL = 1e-9
"""Maps that differ by less, relatively, are one map, computed in two ways."""


MOST_ENTRIES = 1 << 24
"""Of a map along several axes, each of which is a scale and a shift of 8 bytes."""


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


def require_small(node: onnx.NodeProto, sizes: Sequence[int]) -> None:
    """Check that a map of these sizes fits into memory.

    Raises:
        Refusal: it does not.
    """
    if prod(sizes) > MOST_ENTRIES:
        raise Refusal(f"behind {label(node)} the map would have {prod(sizes)} scales, of at most {MOST_ENTRIES}")


def known_sizes(node: onnx.NodeProto, dims: Sequence[Dim]) -> list[int]:
    """The dims as numbers.

    Raises:
        Refusal: one of them is free.
    """
    sizes = [dim for dim in dims if isinstance(dim, int)]
    if len(sizes) < len(dims):
        raise Refusal(f"{label(node)} needs sizes that are only known when it runs")
    return sizes


@dataclass(frozen=True)
class ChannelMap:
    """The map, seen at one tensor.

    Most often the channels lie along one axis. A Reshape can part them, as into heads and the values of each head: then
    the map differs along several axes.

    Attributes:
        axes: of the tensor, along which the map differs: ascending, not negative.
        scale, shift: float64, with an axis for each of `axes`.
        repeating: the one of `axes` along which the map repeats itself, because its size is only known when the graph
            runs: rows and heads counted together.
    """

    axes: tuple[int, ...]
    scale: Float64
    shift: Float64
    repeating: int | None = None

    @classmethod
    def on(cls, axis: int, scale: Float64, shift: Float64) -> "ChannelMap":
        """The map of channels that lie along one axis."""
        return cls((axis,), scale, shift)

    @property
    def axis(self) -> int:
        """The axis of the channels.

        Raises:
            Refusal: they lie along several.
        """
        if len(self.axes) > 1 or self.repeating is not None:
            raise Refusal(f"the channels lie along {self.place}")
        return self.axes[0]

    @property
    def place(self) -> str:
        """The axes, in words."""
        if self.repeating is not None:
            return f"axis {self.repeating}, together with the rows"
        return f"axis {self.axes[0]}" if len(self.axes) == 1 else f"axes {', '.join(map(str, self.axes))}"

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
        return bool((self.scale == self.scale.flat[0]).all() and (self.shift == self.shift.flat[0]).all())

    def inverse(self) -> "ChannelMap":
        """The map back: x = y / s - t / s. No scale may be 0."""
        return replace(self, scale=1 / self.scale, shift=-self.shift / self.scale)

    def identity(self, axis: int | None = None, size: int = 0) -> "ChannelMap":
        """The map that changes nothing, stated along the same axes, one of which may have another size."""
        shape = [size if own == axis else length for own, length in zip(self.axes, self.scale.shape, strict=True)]
        return replace(self, scale=np.ones(shape), shift=np.zeros(shape))

    def is_same(self, other: "ChannelMap", where: NDArray[np.bool_] | bool = True) -> bool:
        """Whether two maps are one, perhaps computed in two ways; in all entries, or in some."""
        if (self.axes, self.repeating, self.scale.shape) != (other.axes, other.repeating, other.scale.shape):
            return False
        pairs = ((self.scale, other.scale), (self.shift, other.shift))
        return all(
            np.isclose(*pair, rtol=_EQUAL, atol=_EQUAL)[np.broadcast_to(where, pair[0].shape)].all() for pair in pairs
        )

    def scaling(self) -> "ChannelMap":
        """The map without its shift."""
        return replace(self, shift=np.zeros_like(self.shift))

    def renumber(self, number: Callable[[int], int]) -> "ChannelMap":
        """The map after the axes of the tensor have got other numbers, in any order."""
        numbers = [number(axis) for axis in self.axes]
        order = sorted(range(len(numbers)), key=numbers.__getitem__)
        repeating = None if self.repeating is None else number(self.repeating)
        axes = tuple(sorted(numbers))
        return ChannelMap(axes, self.scale.transpose(order), self.shift.transpose(order), repeating)

    def spread(self, axis: int, size: int) -> "ChannelMap":
        """The same map, with `axis` among its axes: each of its `size` indices has the map of the others."""
        if axis in self.axes:
            return self
        at = bisect(self.axes, axis)
        scale, shift = (np.repeat(np.expand_dims(part, at), size, at) for part in (self.scale, self.shift))
        return replace(self, axes=(*self.axes[:at], axis, *self.axes[at:]), scale=scale, shift=shift)

    def along(self, axis: int, size: Dim) -> "ChannelMap":
        """The same map stated on `axis`, which has `size` indices.

        Raises:
            Refusal: the map differs along another axis.
        """
        if self.axes == (axis,) and self.repeating is None and self.scale.size == size:
            return self
        if self.is_uniform and isinstance(size, int):
            return ChannelMap.on(axis, np.full(size, self.scale.flat[0]), np.full(size, self.shift.flat[0]))
        raise Refusal(f"the channels move to {self.place}, and the weights need them on axis {axis}")

    def broadcast(self, rank: int) -> tuple[Float64, Float64]:
        """Scale and shift in the shape that broadcasts against a tensor of this rank: (C, 1, ..., 1).

        Raises:
            Refusal: the shape is only known when the graph runs.
        """
        if self.repeating is not None:
            raise Refusal(f"the channels lie along {self.place}")
        sizes = dict(zip(self.axes, self.scale.shape, strict=True))
        shape = [sizes.get(axis, 1) for axis in range(self.axes[0], rank)]
        return self.scale.reshape(shape), self.shift.reshape(shape)

    def regroup(self, node: onnx.NodeProto, before: Sequence[Dim], after: Sequence[Dim]) -> "ChannelMap":
        """The map after the tensor is reshaped from `before` to `after`; both may have free sizes.

        Along the flat index the map repeats itself: (N, C, L) has one of C * L values, which (N, C * L) has along one
        axis, and (N, heads, C / heads, L) along two. The first axis of the new shape may count rows as well.

        Raises:
            Refusal: the sizes that are needed are not known, or other axes than the first would count rows as well.
        """
        if 1 in self.scale.shape and self.scale.size > 1:
            return self._without_single_indices().regroup(node, before, after)
        before, after = list(before), list(after)
        # Sizes behind the channels may stay where they are, free ones too: (N, C, length) -> (N, C, 1, length).
        while len(before) - 1 > self.axes[-1] and len(after) > 1 and before[-1] == after[-1] is not None:
            before.pop()
            after.pop()
        pattern = self._pattern(node, before)
        first, behind = len(after), 1
        while first:
            first -= 1
            size = after[first]
            if not isinstance(size, int):
                period, rest = divmod(len(pattern), behind)
                if first == 0 and period > 1 and rest == 0:
                    return _differing(first, pattern.reshape(period, *known_sizes(node, after[1:]), 2), repeating=True)
                break
            behind *= size
            if behind % len(pattern) == 0:
                tiled = np.tile(pattern, (behind // len(pattern), 1))
                return _differing(first, tiled.reshape(*known_sizes(node, after[first:]), 2), repeating=False)
        raise Refusal(f"{label(node)} mixes channels with axes whose sizes are only known when it runs")

    def _without_single_indices(self) -> "ChannelMap":
        """The map without the axes that have one index."""
        axes = tuple(axis for axis, size in zip(self.axes, self.scale.shape, strict=True) if size > 1)
        repeating = self.repeating if self.repeating in axes else None
        return ChannelMap(axes, self.scale.squeeze(), self.shift.squeeze(), repeating)

    def _pattern(self, node: onnx.NodeProto, dims: Sequence[Dim]) -> Float64:
        """Scale and shift along the flat index of a tensor, of which they are repetitions; shape (P, 2)."""
        if self.is_uniform:
            return np.array([[self.scale.flat[0], self.shift.flat[0]]])
        if self.repeating not in (None, self.axes[0]):
            raise Refusal(f"the channels lie along {self.place}")
        own = dict(zip(self.axes, self.scale.shape, strict=True))
        sizes = known_sizes(node, [own.get(axis, dims[axis]) for axis in range(self.axes[0], len(dims))])
        require_small(node, sizes)
        present = [sizes[axis - self.axes[0]] if axis in own else 1 for axis in range(self.axes[0], len(dims))]
        parts = [np.broadcast_to(part.reshape(present), sizes).reshape(-1) for part in (self.scale, self.shift)]
        return np.stack(parts, axis=-1)


def _differing(first: int, pattern: Float64, *, repeating: bool) -> ChannelMap:
    """The map of a pattern of shape (..., 2), whose first axis is `first`, on the axes along which it differs."""
    rank = pattern.ndim - 1
    axes = [axis for axis in range(rank) if (pattern != pattern.take([0], axis)).any()] or [rank - 1]
    line = pattern[tuple(slice(None) if axis in axes else 0 for axis in range(rank))]
    scale, shift = (np.ascontiguousarray(line[..., part]) for part in (0, 1))
    return ChannelMap(tuple(first + axis for axis in axes), scale, shift, first if repeating and 0 in axes else None)
