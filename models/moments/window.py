"""Moments over a window of rows: how a channel's means and mean squares are distributed over rows.

Mergeable in any order (Chan, Golub & LeVeque 1983), so that windows, processes and restarts add up.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.batchnorm import Float64
from models.errors import InvalidInput
from models.observation import RowStatistics


@dataclass(frozen=True)
class WindowMoments:
    """Moments over rows of the rows' means and mean squares, per channel, with their co-moment.

    Attributes:
        count: rows.
        row_mean, row_square: averages over rows of the rows' means and mean squares, shape (C,), float64.
        m2_mean, m2_square, co: sums over rows of squared deviations of each, and of their product, shape (C,).
    """

    count: int
    row_mean: Float64
    row_square: Float64
    m2_mean: Float64
    m2_square: Float64
    co: Float64

    @classmethod
    def empty(cls, num_features: int) -> "WindowMoments":
        """No rows: the neutral element of `merge`."""
        return cls(0, *np.zeros((5, num_features)))

    @classmethod
    def of(cls, rows: RowStatistics) -> "WindowMoments":
        """Of rows; those that are not finite are left out, as one of them would make all moments NaN or infinite."""
        finite = rows.finite
        if not finite.all():
            rows = rows.take(finite)
        row_mean, row_square = rows.mean, rows.mean_square
        if not len(row_mean):
            return cls.empty(rows.mean.shape[1])
        mean, square = row_mean.mean(axis=0), row_square.mean(axis=0)
        off_mean, off_square = row_mean - mean, row_square - square
        return cls(
            len(row_mean),
            mean,
            square,
            np.square(off_mean).sum(axis=0),
            np.square(off_square).sum(axis=0),
            (off_mean * off_square).sum(axis=0),
        )

    def of_channels(self, chosen: slice) -> "WindowMoments":
        """The same rows in some of the channels."""
        return WindowMoments(
            self.count,
            self.row_mean[chosen],
            self.row_square[chosen],
            self.m2_mean[chosen],
            self.m2_square[chosen],
            self.co[chosen],
        )

    def merge(self, other: "WindowMoments") -> "WindowMoments":
        """Moments of the rows of both. Associative and commutative up to rounding.

        Raises:
            InvalidInput: the two are of different numbers of channels.
        """
        if self.row_mean.shape != other.row_mean.shape:
            raise InvalidInput(f"moments of {len(self.row_mean)} channels do not merge with {len(other.row_mean)}")
        count = self.count + other.count
        if not count:
            return self
        share, weight = other.count / count, self.count * other.count / count
        d_mean, d_square = other.row_mean - self.row_mean, other.row_square - self.row_square
        return WindowMoments(
            count,
            self.row_mean + share * d_mean,
            self.row_square + share * d_square,
            self.m2_mean + other.m2_mean + weight * d_mean**2,
            self.m2_square + other.m2_square + weight * d_square**2,
            self.co + other.co + weight * d_mean * d_square,
        )

    @classmethod
    def merged(cls, parts: Sequence["WindowMoments"]) -> "WindowMoments":
        """Moments of the rows of all parts, of which there is at least one; much faster than one `merge` after another.

        Raises:
            InvalidInput: they are of different numbers of channels.
        """
        if len(parts) == 2:
            return parts[0].merge(parts[1])
        if len(widths := {len(part.row_mean) for part in parts}) != 1:
            raise InvalidInput(f"moments of {sorted(widths)} channels do not merge")
        counts = np.array([part.count for part in parts], dtype=np.float64)
        if not (total := counts.sum()):
            return parts[0]
        means, squares, m2_means, m2_squares, cos = np.stack(
            [(part.row_mean, part.row_square, part.m2_mean, part.m2_square, part.co) for part in parts], axis=1
        )
        mean, square = counts @ means / total, counts @ squares / total
        d_means, d_squares = means - mean, squares - square
        return cls(
            int(total),
            mean,
            square,
            m2_means.sum(axis=0) + counts @ d_means**2,
            m2_squares.sum(axis=0) + counts @ d_squares**2,
            cos.sum(axis=0) + counts @ (d_means * d_squares),
        )

    @property
    def mean(self) -> Float64:
        """Live mean of z per channel, shape (C,)."""
        return self.row_mean

    @property
    def variance(self) -> Float64:
        """Live population variance of z per channel, shape (C,): over rows and positions."""
        variance: Float64 = np.maximum(self.row_square - self.row_mean**2, 0.0)
        return variance

    @property
    def mean_error(self) -> Float64:
        """Standard error of `mean`, shape (C,), from how much rows differ; NaN for fewer than two rows."""
        return self._error(self.m2_mean)

    @property
    def variance_error(self) -> Float64:
        """Standard error of `variance`, shape (C,), by the delta method; NaN for fewer than two rows."""
        m = self.row_mean
        return self._error(self.m2_square + 4 * m**2 * self.m2_mean - 4 * m * self.co)

    def _error(self, m2: Float64) -> Float64:
        if self.count < 2:
            return np.full_like(m2, np.nan)
        error: Float64 = np.sqrt(np.maximum(m2, 0.0) / (self.count - 1) / self.count)
        return error
