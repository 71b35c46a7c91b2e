"""What the observed graph returns of each watched layer: statistics of every row, in z units.

A layer's output in z units is ``z = (y - beta) / |gamma|``: mean 0 and variance about 1 in every channel of every layer
while nothing has moved. A layer without a gamma and beta of its own for each channel gets its units from reference
rows (`models.reference`). The observed graph returns the mean and the mean square of each row and channel over its
positions.
Rows, not positions, are the independent unit: the pixels of one image are alike, and if they count as samples, half of
all undisturbed windows look disturbed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.batchnorm import Float64
from models.errors import InvalidInput
from models.manifest import WatchedLayer
from models.side_by_side import SideBySide

_MIN_SCALE = 1e-3
"""Of the layer's median |gamma|: a channel with a smaller one is not magnified further."""

_PREFIX = "denge.observed"


def mean_output(layer: str) -> str:
    """Name of the output with the means of a layer's rows, shape (rows, C, 1, ...)."""
    return f"{_PREFIX}.mean.{layer}"


def square_output(layer: str) -> str:
    """Name of the output with their mean squares, of the same shape; absent if a row has one position."""
    return f"{_PREFIX}.square.{layer}"


def variance_output(layer: str) -> str:
    """Name of the output with their variances, in place of mean squares that would lose the digits of the variance."""
    return f"{_PREFIX}.variance.{layer}"


def is_observation(output: str) -> bool:
    """Whether an output of the observed graph is one of these, and not one of the network's."""
    return output.startswith(f"{_PREFIX}.")


def floored_scale(layer: WatchedLayer) -> Float64:
    """What a layer's z units divide by, shape (C,): |gamma|, but at least a small part of what is usual for it."""
    spread = np.abs(np.ones(layer.num_features) if layer.gamma is None else np.array(layer.gamma))
    floor = _MIN_SCALE * float(np.median(spread))
    floored: Float64 = np.maximum(spread, floor if floor > 0 else 1.0)
    return floored


@dataclass(frozen=True)
class Units:
    """The map from the tensor that a layer is read at to z units: ``z = factor * tensor + offset``.

    Attributes:
        factor, offset: shape (C,), float64.
    """

    factor: Float64
    offset: Float64

    @classmethod
    def of(cls, layer: WatchedLayer) -> "Units":
        """The units of a layer of a folded graph."""
        spread = floored_scale(layer)
        beta = np.zeros(layer.num_features) if layer.beta is None else np.array(layer.beta)
        scale = np.ones_like(spread) if layer.placement.scale is None else np.array(layer.placement.scale)
        shift = np.zeros_like(spread) if layer.placement.shift is None else np.array(layer.placement.shift)
        return cls(scale / spread, (shift - beta) / spread)

    def read(self, mean: ArrayLike, mean_square: ArrayLike | None = None) -> "RowStatistics":
        """The statistics of rows in z units.

        Args:
            mean: of the tensor over the positions of each row, shape (rows, C, 1, ...).
            mean_square: of its square, of the same shape; absent if a row has one position.

        Raises:
            InvalidInput: the shapes are not those of this layer.
        """
        a = np.asarray(mean, dtype=np.float64)
        a = a.reshape(len(a), -1)
        s = a * a if mean_square is None else np.asarray(mean_square, dtype=np.float64).reshape(len(a), -1)
        if a.shape[1:] != self.factor.shape or s.shape != a.shape:
            raise InvalidInput(f"got shapes {a.shape} and {s.shape}, expected (rows, {len(self.factor)}) channels")
        return self.restate(a, s)

    def restate(self, mean: Float64, mean_square: Float64) -> "RowStatistics":
        """The statistics of rows in z units; those of the tensor are of shape (rows, C)."""
        factor, offset = self.factor, self.offset
        with np.errstate(invalid="ignore"):  # infinity minus infinity, in rows that moments leave out
            return RowStatistics(
                factor * mean + offset, factor**2 * mean_square + 2 * factor * offset * mean + offset**2
            )


@dataclass(frozen=True)
class RowStatistics:
    """Mean and mean square over the positions of each row, in z units.

    Attributes:
        mean, mean_square: shape (rows, C), float64.
    """

    mean: Float64
    mean_square: Float64

    @classmethod
    def concatenate(cls, parts: Sequence["RowStatistics"]) -> "RowStatistics":
        """The rows of all parts, of which there is at least one, in their order."""
        return cls(np.concatenate([part.mean for part in parts]), np.concatenate([part.mean_square for part in parts]))

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def finite(self) -> NDArray[np.bool_]:
        """Whether all statistics of a row are finite, shape (rows,)."""
        return np.asarray((np.isfinite(self.mean) & np.isfinite(self.mean_square)).all(axis=1))

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "RowStatistics":
        """Some of the rows, by a mask or by their indices."""
        return RowStatistics(self.mean[rows], self.mean_square[rows])

    def of_channels(self, chosen: slice) -> "RowStatistics":
        """The same rows in some of the channels."""
        return RowStatistics(self.mean[:, chosen], self.mean_square[:, chosen])


class LayerStatistics(SideBySide[RowStatistics]):
    """The statistics of rows in several layers."""

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "LayerStatistics":
        """Some of the rows, by a mask or by their indices."""
        return LayerStatistics(self.joint.take(rows), self.columns)

    def finite_rows(self) -> "LayerStatistics":
        """The rows that are finite in all layers."""
        kept = self.joint.finite
        return self if kept.all() else self.take(kept)


class ObservationReader:
    """Reads the outputs of an observed graph.

    Args:
        layers: of the model. Those that the graph does not observe are left out.
        outputs: names of the graph's outputs.
    """

    def __init__(self, layers: Iterable[WatchedLayer], outputs: Iterable[str]) -> None:
        names = frozenset(outputs)
        units = {layer.name: Units.of(layer) for layer in layers if mean_output(layer.name) in names}
        ends = np.cumsum([len(one.factor) for one in units.values()], dtype=np.int64).tolist()
        self._columns = {name: slice(start, end) for name, start, end in zip(units, [0, *ends], ends, strict=False)}
        self._units = Units(
            np.concatenate([np.zeros(0), *(one.factor for one in units.values())]),
            np.concatenate([np.zeros(0), *(one.offset for one in units.values())]),
        )

    def read(self, outputs: Mapping[str, NDArray[Any]]) -> LayerStatistics:
        """The statistics of the rows by layer, from the outputs by name.

        Raises:
            InvalidInput: the shape of an output is not that of its layer, or has other rows than those of the others.
        """
        rows = max((len(outputs[mean_output(name)]) for name in self._columns), default=0)
        mean = np.empty((rows, len(self._units.factor)))
        square = np.empty_like(mean)
        for name, columns in self._columns.items():
            of_layer, squares = mean[:, columns], square[:, columns]
            _copy(outputs[mean_output(name)], of_layer, name)
            if (found := outputs.get(square_output(name))) is not None:
                _copy(found, squares, name)
            elif (found := outputs.get(variance_output(name))) is not None:
                _copy(found, squares, name)
                squares += np.square(of_layer)
            else:
                np.square(of_layer, out=squares)
        return LayerStatistics(self._units.restate(mean, square), self._columns)


def _copy(output: NDArray[Any], into: Float64, layer: str) -> None:
    """Copy an output of shape (rows, C, 1, ...)."""
    if output.size != into.size or len(output) != len(into):
        rows, channels = into.shape
        raise InvalidInput(f"got shape {output.shape}, expected {rows} rows of {channels} channels", layer)
    into[:] = output.reshape(into.shape)
