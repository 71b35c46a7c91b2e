"""Moments of a window in several layers."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Self

from models.moments.window import WindowMoments
from models.observation import LayerStatistics
from models.side_by_side import SideBySide

Layers = Mapping[str, WindowMoments]
"""Moments of a window by layer name."""


class LayerMoments(SideBySide[WindowMoments]):
    """Moments of the same rows in several layers."""

    @classmethod
    def of(cls, rows: LayerStatistics) -> Self:
        """Of rows; those that are not finite in one layer are left out in all."""
        return cls(WindowMoments.of(rows.joint), rows.columns)


def merged(parts: Sequence[Layers]) -> Layers:
    """Moments of the rows of all parts, in the layers that any of them has.

    Raises:
        InvalidInput: a layer has different numbers of channels.
    """
    parts = [part for part in parts if part]
    joint = [part for part in parts if isinstance(part, LayerMoments)]
    if joint and len(joint) == len(parts) and all(one.columns == other.columns for one, other in pairwise(joint)):
        return LayerMoments(WindowMoments.merged([part.joint for part in joint]), joint[0].columns)
    layers: dict[str, list[WindowMoments]] = {}
    for part in parts:
        for name, moments in part.items():
            layers.setdefault(name, []).append(moments)
    return {name: WindowMoments.merged(found) for name, found in layers.items()}


def count_rows(layers: Layers) -> int:
    """The number of rows: the largest of any layer."""
    if isinstance(layers, LayerMoments):
        return layers.joint.count if layers else 0
    return max((moments.count for moments in layers.values()), default=0)
