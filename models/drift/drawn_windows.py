"""Random windows of rows, and averages over each of them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.batchnorm import Float64

_FEW = 32
"""A window of one in so many rows or fewer: adding its rows takes less time than a product with all rows."""


@dataclass(frozen=True)
class DrawnWindows:
    """Windows without a row that is in them twice.

    Attributes:
        rows: how many they were drawn from.
        indices: of each window's rows, shape (windows, size).
    """

    rows: int
    indices: NDArray[np.int64]

    @classmethod
    def draw(cls, rows: int, size: int, count: int, random: np.random.Generator) -> Self:
        """Draw windows: all rows in random order, cut up, as often as needed."""
        per_order = rows // size
        orders = np.tile(np.arange(rows), (-(-count // per_order), 1))
        cut = random.permuted(orders, axis=1)[:, : per_order * size].reshape(-1, size)
        return cls(rows, cut[:count])

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
        np.put_along_axis(weights, self.indices, 1 / self.size, axis=1)
        return weights
