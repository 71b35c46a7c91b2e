"""What a padded convolution makes of a constant image: at a border fewer taps of the kernel see it."""

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from models.batchnorm import Float64
from models.graph.nodes import Dim, attribute, integers

_SAME = 1e-12
"""Sums of the same numbers in another order differ by less, relative to the sum of their magnitudes."""


def sums_of_seen_taps(node: onnx.NodeProto, taps: Float64, sizes: Sequence[Dim]) -> Float64:
    """The sums that occur, each over the taps that see the image at some position.

    Args:
        node: a Conv or AveragePool.
        taps: shape (M, *kernel).
        sizes: of the image; for a free size, the sums of all sizes.

    Returns:
        Shape (M, K): K kinds of positions.
    """
    sums = taps
    for axis, size in enumerate(sizes):
        seen = _seen_taps(node, axis, taps.shape[1 + axis], size)
        sums = np.tensordot(sums, seen.astype(np.float64), axes=(1, 1))
    return sums.reshape(len(taps), -1)


def find_uneven(node: onnx.NodeProto, taps: Float64, sizes: Sequence[Dim]) -> tuple[int, float, float] | None:
    """A channel whose sum is not the same everywhere, its largest and its smallest one; None if there is none."""
    sums = sums_of_seen_taps(node, taps, sizes)
    spread = np.ptp(sums, axis=1)
    channel = int(np.argmax(spread))
    if spread[channel] <= _SAME * np.abs(taps).sum():
        return None
    return channel, float(sums[channel].max()), float(sums[channel].min())


def _seen_taps(node: onnx.NodeProto, axis: int, kernel: int, size: Dim) -> NDArray[np.bool_]:
    """The different sets of taps that see the image along one axis, shape (K, kernel)."""
    stride = (integers(node, "strides") or [1] * (axis + 1))[axis]
    dilation = (integers(node, "dilations") or [1] * (axis + 1))[axis]
    extent = (kernel - 1) * dilation + 1
    # A longer image has no other positions than one in which neither border sees the other.
    lengths = [size] if isinstance(size, int) else range(1, 2 * (extent + stride))
    sets = [row for length in lengths for row in _at_each_position(node, axis, kernel, length, stride, dilation)]
    return np.unique(np.array(sets), axis=0)


def _at_each_position(
    node: onnx.NodeProto, axis: int, kernel: int, length: int, stride: int, dilation: int
) -> NDArray[np.bool_]:
    extent = (kernel - 1) * dilation + 1
    before, after = _padding(node, axis, length, stride, extent)
    starts = np.arange(0, length + before + after - extent + 1, stride) - before
    at = starts[:, None] + dilation * np.arange(kernel)
    return (at >= 0) & (at < length)


def _padding(node: onnx.NodeProto, axis: int, length: int, stride: int, extent: int) -> tuple[int, int]:
    auto = attribute(node, "auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        whole = max((-(-length // stride) - 1) * stride + extent - length, 0)
        small, large = whole // 2, whole - whole // 2
        return (small, large) if auto == "SAME_UPPER" else (large, small)
    pads = integers(node, "pads")
    return (pads[axis], pads[axis + len(pads) // 2]) if pads and auto == "NOTSET" else (0, 0)
