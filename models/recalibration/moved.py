"""What share of some rows has moved, while the others are as the held-out rows.

Let a share p of the rows have moved by d along some direction. Then their average has moved by ``p d``, and their
variance along it has grown by ``p (1 - p) d**2``. The growth over the square of the move is ``(1 - p) / p``: 0 where
all rows have moved alike, 1 where half have, 3 where a quarter has. No row needs to look unusual by itself.
"""

from collections.abc import Mapping

import numpy as np

from models.batchnorm import Float64
from models.drift.reference import ExpectedMoments
from models.manifest import DriftReference
from models.observation import RowStatistics

_MAX_DEVIATION = 10.0
"""Standard deviations beyond which a moment counts no further: a few extreme rows are a small part, and no more."""


def moved_share(
    rows: Mapping[str, RowStatistics], held_out: Mapping[str, RowStatistics], reference: DriftReference
) -> float:
    """The share of rows that has moved, more than 0 and at most 1, along the direction in which their average has.

    Args:
        rows, held_out: moments of each row by layer, from the version's observed graph.
        reference: of the version.
    """
    deviations, usual = (_deviations(found, reference) for found in (rows, held_out))
    direction = deviations.mean(axis=0)
    along, usually = deviations @ direction, usual @ direction
    move = float(along.mean() - usually.mean())
    growth = float(along.var() - usually.var())
    return 1.0 if growth <= 0 or move == 0 else 1 / (1 + growth / move**2)


def _deviations(rows: Mapping[str, RowStatistics], reference: DriftReference) -> Float64:
    """From the averages of the held-out rows, in standard deviations over rows, shape (rows, all channels)."""
    found: list[Float64] = []
    for name, layer in reference.layers.items():
        found += ExpectedMoments.of_layer(layer).standardized(rows[name].mean, rows[name].mean_square)
    return np.concatenate(found, axis=1).clip(-_MAX_DEVIATION, _MAX_DEVIATION)
