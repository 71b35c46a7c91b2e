"""What share of some rows has moved, while the others are as the held-out rows; and which rows these are.

Let a share p of the rows have moved by d along some direction. Then their average has moved by ``p d``, and their
variance along it has grown by ``p (1 - p) d**2``. The growth over the square of the move is ``(1 - p) / p``: 0 where
all rows have moved alike, 1 where half have, 3 where a quarter has. No row needs to look unusual by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from models.batchnorm import Float64
from models.drift.reference import ExpectedMoments
from models.manifest import DriftReference
from models.observation import RowStatistics

_MAX_DEVIATION = 10.0
"""Standard deviations beyond which a moment counts no further: a few extreme rows are a small part, and no more."""

_SMALLEST_SPREAD = 0.3
"""Of the rows that have moved, in standard deviations of the held-out rows: rows that are all alike have none."""

_SMALLEST_SHARE = 1e-6

_STEPS = 200

_STARTS = (0.05, 0.25, 0.5)
"""Shares that the estimation begins with: it finds the best distribution near the one that it begins with."""


def moved_share(
    rows: Mapping[str, RowStatistics], held_out: Mapping[str, RowStatistics], reference: DriftReference
) -> float:
    """The share of rows that has moved, more than 0 and at most 1, along the direction in which their average has.

    Args:
        rows, held_out: moments of each row by layer, from the version's observed graph.
        reference: of the version.
    """
    along, usually, _ = _along_move(rows, held_out, reference)
    move = float(along.mean() - usually.mean())
    growth = float(along.var() - usually.var())
    return 1.0 if growth <= 0 or move == 0 else 1 / (1 + growth / move**2)


@dataclass(frozen=True)
class MovedPart:
    """The rows that have moved, told from others that are as the held-out rows.

    Along the direction in which the average of all has moved, the rows are a mixture of two normal distributions: that
    of the held-out rows, which is known, and another one, which is estimated by expectation maximisation (Dempster,
    Laird & Rubin 1977, Maximum Likelihood from Incomplete Data via the EM Algorithm).

    Attributes:
        normal: distribution of those that have moved, along the direction.
        error: expected share of the rows which are taken for such that have not moved, by how many held-out rows are.
    """

    normal: "MovedNormal"
    error: float
    _reference: DriftReference
    _direction: Float64
    _origin: float
    _unit: float

    @classmethod
    def find(
        cls, rows: Mapping[str, RowStatistics], held_out: Mapping[str, RowStatistics], reference: DriftReference
    ) -> Self:
        """Find the part of rows that has moved. Arguments are those of `moved_share`."""
        along, usually, direction = _along_move(rows, held_out, reference)
        origin, unit = float(usually.mean()), float(usually.std()) + np.finfo(np.float64).tiny
        along, usually = (along - origin) / unit, (usually - origin) / unit
        normal = max((_maximize(along, share) for share in _STARTS), key=lambda found: found.likelihood(along))
        taken, taken_usual = (normal.probability(places) > 0.5 for places in (along, usually))
        # One more, as a further held-out row is taken with this probability at most, whatever their distribution.
        false = (1 - normal.share) * (1 + np.count_nonzero(taken_usual)) / (1 + len(taken_usual))
        return cls(normal, float(min(false / max(taken.mean(), false), 1.0)), reference, direction, origin, unit)

    def contains(self, rows: Mapping[str, RowStatistics]) -> NDArray[np.bool_]:
        """Whether each row has rather moved than not, shape (n,).

        Args:
            rows: moments of each row by layer, from the version's observed graph.
        """
        along = _deviations(rows, self._reference) @ self._direction
        return self.normal.probability((along - self._origin) / self._unit) > 0.5


class MovedNormal(NamedTuple):
    """A normal distribution beside the standard normal one, which is that of the held-out rows.

    Attributes:
        share: of the rows, that it has.
        mean, deviation: of it, in standard deviations of the held-out rows from their mean.
    """

    share: float
    mean: float
    deviation: float

    def probability(self, along: Float64) -> Float64:
        """That a row has moved, by its place along the direction, shape (n,)."""
        return np.asarray(1 / (1 + np.exp(-np.clip(self._log_ratio(along), -500, 500))))

    def likelihood(self, along: Float64) -> float:
        """Logarithm of the density of the rows, but for what all distributions have in common."""
        return float((np.log1p(-self.share) + np.logaddexp(0, self._log_ratio(along))).sum())

    def improved(self, along: Float64) -> "MovedNormal":
        """One step of the expectation maximisation."""
        moved = self.probability(along)
        total = moved.sum() + np.finfo(np.float64).tiny
        mean = float(moved @ along / total)
        deviation = float(np.sqrt(moved @ (along - mean) ** 2 / total))
        # Neither part is ever empty, so that logarithms of both shares are finite.
        share = float(np.clip(moved.mean(), _SMALLEST_SHARE, 1 - _SMALLEST_SHARE))
        return MovedNormal(share, mean, max(deviation, _SMALLEST_SPREAD))

    def _log_ratio(self, along: Float64) -> Float64:
        odds = np.log(self.share) - np.log1p(-self.share) - np.log(self.deviation)
        return np.asarray(odds + along**2 / 2 - ((along - self.mean) / self.deviation) ** 2 / 2)


def _maximize(along: Float64, share: float) -> MovedNormal:
    """The distribution that expectation maximisation finds from the rows that are furthest along the direction."""
    furthest = np.sort(along)[-max(round(share * len(along)), 1) :]
    found = MovedNormal(share, float(furthest.mean()), max(float(furthest.std()), _SMALLEST_SPREAD))
    for _ in range(_STEPS):
        found = found.improved(along)
    return found


def _along_move(
    rows: Mapping[str, RowStatistics], held_out: Mapping[str, RowStatistics], reference: DriftReference
) -> tuple[Float64, Float64, Float64]:
    """Places of rows and of held-out rows along the direction in which the average has moved, and this direction."""
    deviations, usual = (_deviations(found, reference) for found in (rows, held_out))
    direction = deviations.mean(axis=0)
    return deviations @ direction, usual @ direction, direction


def _deviations(rows: Mapping[str, RowStatistics], reference: DriftReference) -> Float64:
    """From the averages of the held-out rows, in standard deviations over rows, shape (rows, all channels)."""
    found: list[Float64] = []
    for name, layer in reference.layers.items():
        found += ExpectedMoments.of_layer(layer).standardized(rows[name].mean, rows[name].mean_square)
    return np.concatenate(found, axis=1).clip(-_MAX_DEVIATION, _MAX_DEVIATION)
