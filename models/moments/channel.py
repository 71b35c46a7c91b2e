"""Count, mean and sum of squared deviations per channel, mergeable in any order (Chan, Golub & LeVeque 1983)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.errors import InvalidInput

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Moments of `count` values per channel.

    Attributes:
        count: how many values each channel has seen.
        mean: shape (C,), float64.
        m2: shape (C,), float64: the sum of squared deviations from `mean`.
    """

    count: int
    mean: Float64
    m2: Float64

    @classmethod
    def empty(cls, num_features: int) -> "Moments":
        """Nothing seen yet: the neutral element of `merge`."""
        return cls(0, np.zeros(num_features), np.zeros(num_features))

    @classmethod
    def of(cls, values: ArrayLike) -> "Moments":
        """Moments of an array of shape (values, C), in two passes in float64."""
        array = np.asarray(values, dtype=np.float64)
        if array.ndim != 2:
            raise InvalidInput(f"moments are taken of a (values, channels) array, got shape {array.shape}")
        if len(array) == 0:
            return cls.empty(array.shape[1])
        mean = array.mean(axis=0)
        return cls(len(array), mean, np.square(array - mean).sum(axis=0))

    def merge(self, other: "Moments") -> "Moments":
        """Moments of both sets of values together. Associative and commutative up to rounding.

        Raises:
            InvalidInput: the two are of different numbers of channels.
        """
        if self.mean.shape != other.mean.shape:
            raise InvalidInput(f"moments of {len(self.mean)} channels do not merge with {len(other.mean)}")
        count = self.count + other.count
        if count == 0:
            return self
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.count / count)
        m2 = self.m2 + other.m2 + np.square(delta) * (self.count * other.count / count)
        return Moments(count, mean, m2)

    @property
    def var(self) -> Float64:
        """Population (biased) variance per channel, shape (C,).

        Raises:
            InvalidInput: nothing has been seen.
        """
        if self.count == 0:
            raise InvalidInput("no values seen: the variance is undefined")
        return self.m2 / self.count
