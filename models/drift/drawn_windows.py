"""Random windows of rows, and averages over each of them."""

from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.batchnorm import Float64

_FEW = 32
"""A window of one in so many rows or fewer: adding its rows takes less time than a product with all rows."""


@dataclass(frozen=True)
class DrawnWindows:
    """Windows of some rows.

    Attributes:
        rows: how many there are.
        among: of these, from which the windows were drawn.
        indices: of each window's rows, shape (windows, size).
        replaced: whether a row may be in a window more than once.
    """

    rows: int
    among: int
    indices: NDArray[np.int64]
    replaced: bool

    @classmethod
    def draw(cls, rows: int, among: NDArray[np.int64], size: int, count: int, random: np.random.Generator) -> Self:
        """Draw windows: a part of the rows in random order, cut up, as often as needed.

        Where the part has less than two windows, they are drawn with replacement (the bootstrap, Efron 1979).

        Args:
            rows: how many there are.
            among: indices of the part.
            size: rows of a window.
            count: of the windows.
            random: draws them.
        """
        per_order = len(among) // size
        if per_order < 2:
            return cls(rows, len(among), random.choice(among, (count, size)), replaced=True)
        orders = np.tile(among, (-(-count // per_order), 1))
        cut = random.permuted(orders, axis=1)[:, : per_order * size].reshape(-1, size)
        return cls(rows, len(among), cut[:count], replaced=False)

    def error(self, others: int) -> float:
        """Standard error of a window's average from that of other rows, in standard deviations over rows.

        Windows with replacement have the error of the part that they were drawn from besides their own.

        Args:
            others: rows of the same kind, none of which is among those that the windows were drawn from.
        """
        return sqrt(1 / self.size + (1 / self.among if self.replaced else 0) + 1 / others)

    @property
    def size(self) -> int:
        """Rows of a window."""
        _, size = self.indices.shape
        return int(size)

    def average(self, values: Float64) -> Float64:
        """Averages over the rows of each window, shape (windows, C).

        Args:
            values: of all rows, shape (rows, C).
        """
        if self.size * _FEW > self.rows:
            return self._weights @ values
        total = np.zeros((len(self.indices), values.shape[1]))
        for chosen in self.indices.T:
            total += values[chosen]
        return total / self.size

    @cached_property
    def _weights(self) -> Float64:
        """Of each row in each window, shape (windows, rows)."""
        weights = np.zeros((len(self.indices), self.rows))
        np.add.at(weights, (np.arange(len(self.indices))[:, None], self.indices), 1 / self.size)
        return weights
