"""The statistics that are expected of a layer, from held-out rows, and how far windows are from them.

A window is given by its averages over rows of the rows' means and mean squares, in z units, shape (..., C); the methods
return one number for each window, shape (...).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite, sqrt
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from models.batchnorm import Float64
from models.drift import divergence
from models.drift.directions import Directions
from models.manifest import ClassLayer, LayerReference
from models.observation import RowStatistics

_MIN_VARIANCE = 1e-6
_MIN_ERROR = 1e-12

_SHARED_ROWS = 16.0
"""Rows that the variance over all classes counts as in that of one class, which may have few rows, or equal ones."""


class Figures(NamedTuple):
    """How far windows are from what is expected, shape (...) each.

    Attributes:
        deviation: of the channel that is off most, in standard deviations over rows.
        divergence: symmetric KL divergence, mean over channels, in nats.
        t_squared: along the layer's directions (`models.drift.directions`), in squared standard deviations; 0 without
            directions.
    """

    deviation: Float64
    divergence: Float64
    t_squared: Float64

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Of all windows of some parts, shape (windows,)."""
        return cls(*map(np.concatenate, zip(*parts, strict=True)))

    def in_errors(self, error: float) -> Self:
        """The figures in standard errors or squared ones.

        Args:
            error: standard error of an average over a window's rows, in standard deviations over rows.
        """
        return type(self)(self.deviation / error, self.divergence / error**2, self.t_squared / error**2)


class Usual(NamedTuple):
    """Figures that one undisturbed window in 100 exceeds, in standard errors or squared ones."""

    deviation: float
    divergence: float
    t_squared: float = inf

    def of_windows(self, rows: int) -> Self:
        """What is usual of windows of so many rows: single rows are judged without directions.

        How unusual a row is by itself decides what re-calibrations are made from; the directions are for averages.
        """
        return self._replace(t_squared=inf) if rows == 1 else self

    def statistic(self, figures: Figures, error: float) -> Float64:
        """The largest of the figures, each relative to what is usual.

        Args:
            figures: of windows.
            error: standard error of an average over a window's rows, in standard deviations over rows.
        """
        deviation, divergence, t_squared = figures.in_errors(error)
        statistic: Float64 = np.maximum(deviation / self.deviation, divergence / self.divergence)
        # Of a window that is not finite, infinite terms of the sum may cancel out: the others decide.
        return np.maximum(statistic, np.nan_to_num(t_squared, nan=0, posinf=inf) / self.t_squared)


@dataclass(frozen=True)
class ChannelShifts:
    """How far each channel of a window is from what is expected, shape (..., C) each: see `models.drift.divergence`.

    Attributes:
        mean_shift: in standard deviations of the reference.
        log2_variance_ratio: in powers of two.
        symmetric_kl: in nats.
    """

    mean_shift: Float64
    log2_variance_ratio: Float64
    symmetric_kl: Float64


@dataclass(frozen=True)
class ExpectedMoments:
    """Averages and spreads over the held-out rows, shape (C,) each, float64, in z units.

    Attributes:
        mean, mean_square: averages of the rows' means and mean squares.
        mean_spread, square_spread: their standard deviations over rows, positive.
        directions: in which they hardly vary together, if these are known.
    """

    mean: Float64
    mean_square: Float64
    mean_spread: Float64
    square_spread: Float64
    directions: Directions | None = None

    @classmethod
    def of_layer(cls, layer: LayerReference) -> "ExpectedMoments":
        """As the manifest states them."""
        return cls(
            np.array(layer.mean),
            np.array(layer.mean_square),
            floor_spread(layer.mean_spread),
            floor_spread(layer.square_spread),
            None if layer.directions is None else Directions.of_layer(layer.directions),
        )

    @classmethod
    def of_rows(cls, rows: RowStatistics, num_directions: int = 0) -> "ExpectedMoments":
        """Of held-out rows.

        Args:
            rows: of shape (N, C).
            num_directions: at most; 0 for none.
        """
        mean, mean_square = rows.mean, rows.mean_square
        expected = cls(
            mean.mean(axis=0),
            mean_square.mean(axis=0),
            floor_spread(mean.std(axis=0)),
            floor_spread(mean_square.std(axis=0)),
        )
        if not num_directions:
            return expected
        directions = Directions.of_rows(*expected.standardized(mean, mean_square), num_directions)
        return replace(expected, directions=directions)

    @classmethod
    def standard(cls, num_features: int) -> "ExpectedMoments":
        """Mean 0 and variance 1 in every channel: for a layer without held-out rows."""
        zeros, ones = np.zeros(num_features), np.ones(num_features)
        return cls(zeros, ones, ones, ones)

    @property
    def variance(self) -> Float64:
        """Over rows and positions, shape (C,); positive also for a channel that never varied."""
        variance: Float64 = np.maximum(self.mean_square - self.mean**2, _MIN_VARIANCE)
        return variance

    def standardized(self, mean: Float64, mean_square: Float64) -> tuple[Float64, Float64]:
        """How far both are from these averages, per channel, in standard deviations over rows, shape (..., C) each."""
        return (mean - self.mean) / self.mean_spread, (mean_square - self.mean_square) / self.square_spread

    def figures(self, mean: Float64, mean_square: Float64, *, along_directions: bool = True) -> Figures:
        """How far windows are from these averages.

        Args:
            mean, mean_square: of the windows.
            along_directions: whether to look along the directions, where these are known.
        """
        directions = self.directions if along_directions else None
        off_mean, off_square = self.standardized(mean, mean_square)
        return Figures(
            np.maximum(np.abs(off_mean), np.abs(off_square)).max(axis=-1),
            self.symmetric_kl(mean, mean_square).mean(axis=-1),
            np.zeros(off_mean.shape[:-1]) if directions is None else directions.t_squared(off_mean, off_square),
        )

    def channel_shifts(self, mean: Float64, mean_square: Float64) -> ChannelShifts:
        """The shifts of each channel."""
        variance = np.maximum(mean_square - mean**2, 0)
        return ChannelShifts(
            divergence.mean_shift(mean, self.mean, self.variance),
            divergence.log2_variance_ratio(variance, self.variance),
            self.symmetric_kl(mean, mean_square),
        )

    def symmetric_kl(self, mean: Float64, mean_square: Float64) -> Float64:
        """Symmetric KL divergence of each channel, shape (..., C)."""
        return divergence.symmetric_kl(mean, np.maximum(mean_square - mean**2, 0), self.mean, self.variance)

    def wasserstein_squared(self, mean: Float64, mean_square: Float64) -> Float64:
        """Squared 2-Wasserstein distance of each channel, shape (..., C)."""
        return divergence.wasserstein_squared(mean, np.maximum(mean_square - mean**2, 0), self.mean, self.variance)

    def statistic(self, mean: Float64, mean_square: Float64, error: float, usual: Usual) -> Float64:
        """The statistic of windows whose averages have this standard error, in standard deviations over rows."""
        figures = self.figures(mean, mean_square, along_directions=isfinite(usual.t_squared))
        return usual.statistic(figures, error)


@dataclass(frozen=True)
class ClassConditionalMoments:
    """Averages and variances over the held-out rows of each predicted class, in z units.

    Attributes:
        counts: held-out rows of each class, shape (K,), float64.
        mean, mean_square: averages over them, shape (K, C).
        mean_variance, square_variance: variances over them, shape (K, C).
    """

    counts: Float64
    mean: Float64
    mean_square: Float64
    mean_variance: Float64
    square_variance: Float64

    @classmethod
    def of_layer(cls, layer: ClassLayer, counts: ArrayLike) -> "ClassConditionalMoments":
        """As the manifest states them."""
        return cls(
            np.asarray(counts, dtype=np.float64),
            np.array(layer.mean),
            np.array(layer.mean_square),
            np.square(layer.mean_spread),
            np.square(layer.square_spread),
        )

    @classmethod
    def of_rows(cls, rows: RowStatistics, one_hot: Float64) -> "ClassConditionalMoments":
        """Of held-out rows.

        Args:
            rows: of shape (N, C).
            one_hot: 1 for the predicted class of each row, else 0, shape (N, K).
        """
        counts = one_hot.sum(axis=0)

        def within(values: Float64) -> tuple[Float64, Float64]:
            mean = one_hot.T @ values / np.maximum(counts, 1)[:, None]
            off = np.square(values - one_hot @ mean)
            shared = np.square(floor_spread(np.sqrt(off.mean(axis=0))))
            return mean, (one_hot.T @ off + _SHARED_ROWS * shared) / (counts + _SHARED_ROWS)[:, None]

        (mean, mean_variance), (square, square_variance) = within(rows.mean), within(rows.mean_square)
        return cls(counts, mean, square, mean_variance, square_variance)

    def statistic(
        self, mean: Float64, mean_square: Float64, shares: Float64, rows: int, *, drawn: bool = False
    ) -> Float64:
        """The largest deviation of all channels from what the window's classes let expect, in standard errors.

        Args:
            mean, mean_square: of the windows.
            shares: of each class in the window, shape (..., K).
            rows: of a window.
            drawn: whether the window is a part of the held-out rows, which it then deviates less from.
        """
        unsure = np.square(shares) / np.maximum(self.counts, 1) * (-1 if drawn else 1)
        weight = shares / rows + unsure
        deviations = [
            np.abs(found - shares @ expected) / np.sqrt(np.maximum(weight @ variance, _MIN_ERROR))
            for found, expected, variance in (
                (mean, self.mean, self.mean_variance),
                (mean_square, self.mean_square, self.square_variance),
            )
        ]
        statistic: Float64 = np.maximum(*deviations).max(axis=-1)
        return statistic


def standard_error(rows: int, reference_rows: int) -> float:
    """Of an average over a window's rows from the reference, in standard deviations over rows.

    ``sqrt(1/n + 1/m + 1/sqrt(n m))``: the variances of the window's n rows and of the reference's m, and a covariance.
    The reference's own error is common to all windows that are compared with it. Were it independent of each window's,
    the rate would hold on average over references, and for one of them windows of many rows could exceed it all the
    time. With the largest covariance, of ``2 / sqrt(n m)``, it would hold for nearly every reference, by the triangle
    inequality; half of it is enough: docs/drift.md has how many references keep the rate.

    Args:
        rows: n, of the window.
        reference_rows: m, the held-out rows.
    """
    return sqrt(1 / rows + 1 / reference_rows + 1 / sqrt(rows * reference_rows))


def floor_spread(spread: ArrayLike) -> Float64:
    """Standard deviations to divide by, shape (C,): a channel that hardly varies is not infinitely sensitive."""
    values = np.asarray(spread, dtype=np.float64)
    floor: Float64 = np.maximum(values, max(1e-3 * float(np.median(values)), 1e-9))
    return floor
