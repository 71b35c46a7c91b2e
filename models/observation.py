"""What a norm layer meets, row by row, in z units.

A layer's output in z units is ``z = (y - beta) / |gamma|``: mean 0 and variance about 1 in every channel of every layer
while nothing has moved. Of each row the observed graph tells the mean and the mean square of a channel over its
positions. Rows, not positions, are the independent unit: the pixels of one image say much the same, and to count them
as samples makes half of all undisturbed windows look disturbed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.batchnorm import Float64
from models.errors import InvalidInput
from models.manifest import NormLayer

_SMALLEST_SPREAD = 1e-3
"""Of the layer's median: a channel that the layer all but switches off is not magnified beyond that."""

_PREFIX = "denge.observed"


def mean_output(layer: str) -> str:
    """Name of the observed graph's output with the layer's means, shape (rows, C, 1, ...)."""
    return f"{_PREFIX}.mean.{layer}"


def square_output(layer: str) -> str:
    """Name of the output with its mean squares, likewise; there is none where a row has one position."""
    return f"{_PREFIX}.square.{layer}"


def variance_output(layer: str) -> str:
    """Name of the output that replaces the mean squares where these would lose the digits of the variance."""
    return f"{_PREFIX}.variance.{layer}"


@dataclass(frozen=True)
class Units:
    """From the tensor that a layer is read at to z units, ``z = factor * tensor + offset``, each of shape (C,)."""

    factor: Float64
    offset: Float64

    @classmethod
    def of(cls, layer: NormLayer) -> "Units":
        """The units of a layer of a folded graph."""
        gamma, beta = np.array(layer.gamma), np.array(layer.beta)
        spread = np.abs(gamma)
        floor = _SMALLEST_SPREAD * float(np.median(spread))
        spread = np.maximum(spread, floor if floor > 0 else 1.0)
        scale = np.ones_like(gamma) if layer.placement.scale is None else np.array(layer.placement.scale)
        shift = np.zeros_like(gamma) if layer.placement.shift is None else np.array(layer.placement.shift)
        return cls(scale / spread, (shift - beta) / spread)

    def read(self, mean: ArrayLike, mean_square: ArrayLike | None = None) -> "RowStatistics":
        """The outputs of the observed graph in z units.

        Args:
            mean: of the tensor over the positions of each row, shape (rows, C, 1, ...).
            mean_square: of its square, likewise; absent where a row has one position, so that it is the mean's square.

        Raises:
            InvalidInput: the two are not of this layer.
        """
        a = np.asarray(mean, dtype=np.float64)
        a = a.reshape(len(a), -1)
        s = a * a if mean_square is None else np.asarray(mean_square, dtype=np.float64).reshape(len(a), -1)
        if a.shape[1:] != self.factor.shape or s.shape != a.shape:
            raise InvalidInput(f"{a.shape} and {s.shape} are no rows of {len(self.factor)} channels")
        factor, offset = self.factor, self.offset
        with np.errstate(invalid="ignore"):  # infinity less infinity, in rows that are left out of moments
            return RowStatistics(factor * a + offset, factor**2 * s + 2 * factor * offset * a + offset**2)


@dataclass(frozen=True)
class RowStatistics:
    """Mean and mean square over the positions of each row, in z units.

    Attributes:
        mean, mean_square: shape (rows, C), float64.
    """

    mean: Float64
    mean_square: Float64

    def __len__(self) -> int:
        return len(self.mean)


class Reader:
    """Reads the outputs of an observed graph.

    Args:
        layers: of the model.
        outputs: names of the graph's outputs.

    Attributes:
        seen: names of the layers that the graph tells of, in the order of the model.
    """

    def __init__(self, layers: Iterable[NormLayer], outputs: Iterable[str]) -> None:
        names = frozenset(outputs)
        self._units = {layer.name: Units.of(layer) for layer in layers if mean_output(layer.name) in names}
        self.seen = tuple(self._units)

    def read(self, outputs: Mapping[str, NDArray[Any]]) -> dict[str, RowStatistics]:
        """What the graph says of each layer that it tells of, for its outputs by name."""
        return {name: self._read(name, units, outputs) for name, units in self._units.items()}

    @staticmethod
    def _read(name: str, units: Units, outputs: Mapping[str, NDArray[Any]]) -> RowStatistics:
        mean, square = outputs[mean_output(name)], outputs.get(square_output(name))
        if square is None and (variance := outputs.get(variance_output(name))) is not None:
            square = variance + np.square(mean, dtype=np.float64)
        return units.read(mean, square)
