"""What is known of the values of a tensor before it is quantised, for each channel; channels are on axis 1."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.batchnorm import Float64


@dataclass(frozen=True)
class TensorStatistics:
    """Values of a tensor over rows and positions.

    Attributes:
        mean, std, low, high: average, standard deviation, and the range to be represented; shape (C,) each, float64.
    """

    mean: Float64
    std: Float64
    low: Float64
    high: Float64

    def scaled(self, factor: Float64) -> "TensorStatistics":
        """Of the tensor times a positive factor for each channel, shape (C,)."""
        return TensorStatistics(self.mean * factor, self.std * factor, self.low * factor, self.high * factor)

    @property
    def magnitude(self) -> Float64:
        """The largest absolute value of each channel, shape (C,)."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    @property
    def range(self) -> tuple[float, float]:
        """The range of all channels."""
        return float(self.low.min()), float(self.high.max())


Statistics = Mapping[str, TensorStatistics]
"""By name of the tensor."""
