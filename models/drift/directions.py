"""Directions in which the channels of a layer hardly vary together over rows, and how far windows are along them.

Channels are correlated: an edge that one finds, its neighbours find as well. A shift may keep each channel within what
is usual of it and break what they have in common, as a translation or a rotation of images does. With x the means and
mean squares of a window's channels, in standard deviations over rows, and w_k, v_k the eigenvalues and eigenvectors of
their correlation matrix over the held-out rows,

    T^2 = sum over k of (v_k' x)^2 / (w_k + l)

is Hotelling's statistic (1931, "The Generalization of Student's Ratio") over the directions of the smallest
eigenvalues, which are the ones that nothing else looks along. The ridge ``l = 0.01 + 0.3 p / n``, for p numbers and n
rows, keeps directions that few rows only seem not to vary in from deciding alone (Hoerl & Kennard 1970).

The eigenvectors fit the rows that they are from, in which T^2 is smaller than in others: `models.drift.calibration`
measures what is usual of it on others.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.batchnorm import Float64
from models.manifest import LayerDirections

MAX_CHANNELS = 64
"""Of a layer, evenly spaced, that the directions are over."""

MAX_DIRECTIONS = 64
"""Of a layer."""

_MIN_DIRECTIONS = 8
_MAX_NUMBERS = 200_000
"""Of all layers of a network, as far as `_MIN_DIRECTIONS` allow: manifests are small beside weights."""

_RIDGE, _RIDGE_BY_ROWS = 0.01, 0.3


@dataclass(frozen=True)
class Directions:
    """Directions of one layer, each divided by the standard deviation along it.

    Attributes:
        channels: that they are over, indices, shape (S,).
        weights: of the means and of the mean squares of these channels, shape (K, 2 S), float64 that float16 can hold.
    """

    channels: NDArray[np.int64]
    weights: Float64

    @classmethod
    def of_rows(cls, mean: Float64, mean_square: Float64, count: int) -> Self:
        """Those in which rows vary least.

        Args:
            mean, mean_square: of the rows, in standard deviations from their averages, shape (n, C).
            count: of the directions, at most.
        """
        channels = choose_channels(mean.shape[1])
        both = np.concatenate([mean[:, channels], mean_square[:, channels]], axis=1)
        rows, numbers = both.shape
        variances, vectors = np.linalg.eigh(both.T @ both / rows)
        ridge = _RIDGE + _RIDGE_BY_ROWS * numbers / rows
        spreads = np.sqrt(np.maximum(variances[:count], 0) + ridge)
        # Rounded from the start: where channels depend on each other exactly, as behind a convolution that widens,
        # there is nothing but rounding along the directions, and what is usual of it has to be that of the stored ones.
        return cls(channels, (vectors[:, :count].T / spreads[:, None]).astype(np.float16).astype(np.float64))

    @classmethod
    def of_layer(cls, layer: LayerDirections) -> Self:
        """As the manifest states them."""
        channels = np.array(layer.channels, dtype=np.int64)
        weights = np.frombuffer(base64.b64decode(layer.weights), "<f2").astype(np.float64)
        return cls(channels, weights.reshape(-1, 2 * len(channels)))

    def stated(self) -> LayerDirections:
        """As the manifest states them."""
        weights = base64.b64encode(self.weights.astype("<f2").tobytes()).decode()
        return LayerDirections(channels=tuple(self.channels.tolist()), weights=weights)

    def t_squared(self, mean: Float64, mean_square: Float64) -> Float64:
        """How far windows are along these directions.

        Args:
            mean, mean_square: of the windows, in standard deviations from what is expected, shape (..., C).

        Returns:
            Shape (...). NaN for a window that is not finite.
        """
        both = np.concatenate([mean[..., self.channels], mean_square[..., self.channels]], axis=-1)
        with np.errstate(invalid="ignore", over="ignore"):
            squared: Float64 = np.square(both @ self.weights.T).sum(axis=-1)
        return squared


def choose_channels(count: int) -> NDArray[np.int64]:
    """Ascending indices of the channels, of as many, that directions are over."""
    return np.linspace(0, count - 1, min(count, MAX_CHANNELS)).round().astype(np.int64)


def directions_per_layer(num_channels: Mapping[str, int]) -> int:
    """How many directions each layer of a network has, at most.

    Args:
        num_channels: of each layer.
    """
    numbers = sum(2 * len(choose_channels(count)) for count in num_channels.values())
    return max(_MIN_DIRECTIONS, min(MAX_DIRECTIONS, _MAX_NUMBERS // numbers))
