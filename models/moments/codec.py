"""Moments of layers as plain data, the one form in which they are stored and sent: a JSON object and one array.

    layout["layers"]    {name: number of channels}, in the order of the array's columns
    layout["counts"]    rows, [window][layer]; null for a layer that the window does not have
    moments             (windows, 5, channels of all layers), float64: the averages and sums of `WindowMoments`

A layer that a window does not have fills its columns with zeros. Every number comes back with the same bits.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from models.batchnorm import Float64
from models.errors import InvalidInput
from models.moments.layers import LayerMoments, Layers
from models.moments.window import WindowMoments


class Layout(TypedDict):
    """What the array of moments holds; the module's docstring has the format."""

    layers: dict[str, int]
    counts: list[list[int | None]]


def encode(windows: Sequence[Layers]) -> tuple[Layout, Float64]:
    """The moments of some windows as a layout, which JSON can hold, and an array.

    Raises:
        InvalidInput: a layer has different numbers of channels in two windows.
    """
    layers: dict[str, int] = {}
    for window in windows:
        for name, found in window.items():
            if layers.setdefault(name, len(found.mean)) != len(found.mean):
                raise InvalidInput(f"layer '{name}' has {layers[name]} channels and {len(found.mean)}", "moments")
    moments = np.zeros((len(windows), 5, sum(layers.values())))
    counts: list[list[int | None]] = []
    for window, rows in zip(windows, moments, strict=True):
        start = 0
        for name, channels in layers.items():
            if name in window:
                found = window[name]
                rows[:, start : start + channels] = (
                    found.row_mean,
                    found.row_square,
                    found.m2_mean,
                    found.m2_square,
                    found.co,
                )
            start += channels
        counts.append([window[name].count if name in window else None for name in layers])
    return {"layers": layers, "counts": counts}, moments


def decode(layout: Mapping[str, Any], moments: ArrayLike) -> list[Layers]:
    """The moments of each window, from what `encode` returned.

    Raises:
        InvalidInput: the two do not fit together, or are something else.
    """
    try:
        layers, counts = {name: _size(channels) for name, channels in layout["layers"].items()}, layout["counts"]
        array = np.asarray(moments, dtype=np.float64)
        ends = np.cumsum(list(layers.values()), dtype=np.int64)
        width = int(ends[-1]) if layers else 0
        if array.shape != (len(counts), 5, width):
            raise InvalidInput(f"got shape {list(array.shape)}, expected {[len(counts), 5, width]}", "moments")
        columns = {
            name: slice(end - size, end) for (name, size), end in zip(layers.items(), ends.tolist(), strict=True)
        }
        windows = [_window(found, row, columns) for found, row in zip(counts, array, strict=True)]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidInput("the layout is damaged", "moments") from error
    return windows


def _window(counts: Sequence[object], moments: Float64, columns: Mapping[str, slice]) -> Layers:
    """The moments of one window, side by side where all layers have the same rows."""
    rows = {name: _size(count) for name, count in zip(columns, counts, strict=True) if count is not None}
    if len(rows) == len(columns) and len(set(rows.values())) == 1:
        return LayerMoments(WindowMoments(next(iter(rows.values())), *moments), columns)
    return {name: WindowMoments(count, *moments[:, columns[name]]) for name, count in rows.items()}


def _size(given: object) -> int:
    if type(given) is not int or given < 0:
        raise ValueError(f"{given!r} is not a number of rows or channels")
    return given
