"""What held-out rows say about windows in which nothing has moved: the reference of `models.drift`.

Windows of n rows are drawn from the N held-out rows without replacement. A drawn window's average deviates from that
of all N with a variance of ``spread^2 (1/n - 1/N)``, a window of new rows with ``spread^2 (1/n + 1/N)``: measured
each in its own standard error, the two deviations are alike, also where n is no small part of N. The threshold at
false-alarm rate alpha is the ``ceil((B + 1)(1 - alpha))``-th smallest statistic of B windows, the conformal quantile
(Vovk et al. 2005): were the windows independent, an undisturbed one would exceed it with a probability of at most
alpha. They share rows, so the rate is measured on rows of their own, and stated with that measurement.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from models.batchnorm import Float64
from models.drift import floored, symmetric_kl, variance_of
from models.errors import InvalidInput
from models.manifest import Channels, ClassReference, DriftReference, LayerReference, channels
from models.observation import RowStatistics

WINDOWS = (1, 16, 64, 256, 1024)
RATES = (0.05, 0.02, 0.01, 0.005, 0.002, 0.001)

FEWEST_ROWS = 64
"""Held-out rows without which nothing is said."""

MOST_CLASSES = 128
"""Models with more classes have no reference by class, which would be larger than they are."""

_DRAWS = 4000
_CHUNK = 500


def estimate(
    observed: Mapping[str, RowStatistics], predicted: NDArray[np.int64] | None, num_classes: int, seed: int = 0
) -> DriftReference:
    """The reference that held-out rows give.

    Args:
        observed: by layer, of the same N rows. The rows must not have been trained on.
        predicted: their predicted classes, shape (N,); None where the model does not classify.
        num_classes: K.
        seed: of the windows that are drawn.

    Returns:
        With thresholds for windows of up to N/2 rows, out of `WINDOWS`.

    Raises:
        InvalidInput: there are no layers, or fewer than `FEWEST_ROWS` rows.
    """
    rows = len(next(iter(observed.values()), ()))
    if rows < FEWEST_ROWS:
        raise InvalidInput(f"{rows} held-out rows, at least {FEWEST_ROWS} are needed for thresholds")
    one_hot = None
    if predicted is not None and num_classes <= MOST_CLASSES:
        one_hot = np.eye(num_classes)[predicted]
    layers = {name: _Layer(found, one_hot) for name, found in observed.items()}
    windows = tuple(size for size in WINDOWS if size <= rows // 2)
    drawn = [_draw(layers, one_hot, rows, size, np.random.default_rng([seed, size])) for size in windows]
    return DriftReference(
        rows=rows,
        windows=windows,
        false_alarm_rates=RATES,
        thresholds=tuple(_quantiles(found.overall) for found in drawn),
        layers={
            name: LayerReference(
                mean=_numbers(layer.mean),
                mean_square=_numbers(layer.square),
                mean_spread=_numbers(layer.spreads[0]),
                square_spread=_numbers(layer.spreads[1]),
                thresholds=tuple(_quantiles(found.by_layer[name]) for found in drawn),
                noise=tuple(float(found.divergence[name].mean()) for found in drawn),
            )
            for name, layer in layers.items()
        },
        classes=None
        if one_hot is None
        else ClassReference(
            counts=tuple(int(count) for count in one_hot.sum(axis=0)),
            mean={name: tuple(map(_numbers, layer.class_mean)) for name, layer in layers.items()},
            mean_square={name: tuple(map(_numbers, layer.class_square)) for name, layer in layers.items()},
            mean_spread={name: _numbers(layer.class_spreads[0]) for name, layer in layers.items()},
            square_spread={name: _numbers(layer.class_spreads[1]) for name, layer in layers.items()},
            thresholds=tuple(_quantiles(found.given_classes) for found in drawn),
        ),
    )


class _Layer:
    """Averages and spreads over all held-out rows, and within each predicted class."""

    def __init__(self, rows: RowStatistics, one_hot: Float64 | None) -> None:
        self.rows = rows
        self.mean, self.square = rows.mean.mean(axis=0), rows.mean_square.mean(axis=0)
        self.spreads = floored(rows.mean.std(axis=0)), floored(rows.mean_square.std(axis=0))
        if one_hot is None:
            return
        counts = np.maximum(one_hot.sum(axis=0), 1)[:, None]
        self.class_mean, self.class_square = one_hot.T @ rows.mean / counts, one_hot.T @ rows.mean_square / counts
        self.class_spreads = (
            floored((rows.mean - one_hot @ self.class_mean).std(axis=0)),
            floored((rows.mean_square - one_hot @ self.class_square).std(axis=0)),
        )


@dataclass(frozen=True)
class _Drawn:
    """Statistics of the windows of one size that were drawn, shape (draws,) each."""

    overall: Float64
    by_layer: dict[str, Float64]
    divergence: dict[str, Float64]
    given_classes: Float64


def _draw(
    layers: Mapping[str, _Layer], one_hot: Float64 | None, rows: int, size: int, random: np.random.Generator
) -> _Drawn:
    drawn = _Drawn(
        np.zeros(_DRAWS),
        {name: np.zeros(_DRAWS) for name in layers},
        {name: np.zeros(_DRAWS) for name in layers},
        np.zeros(_DRAWS),
    )
    error = float(np.sqrt(1 / size - 1 / rows))
    for start in range(0, _DRAWS, _CHUNK):
        part = slice(start, start + _CHUNK)
        chosen = random.random((_CHUNK, rows)).argpartition(size, axis=1)[:, :size]
        weights = np.zeros((_CHUNK, rows))
        np.put_along_axis(weights, chosen, 1 / size, axis=1)  # so that averages are one matrix product
        for name, layer in layers.items():
            mean, square = weights @ layer.rows.mean, weights @ layer.rows.mean_square
            statistic = _largest(mean - layer.mean, square - layer.square, layer.spreads, error)
            drawn.by_layer[name][part] = statistic
            drawn.overall[part] = np.maximum(drawn.overall[part], statistic)
            drawn.divergence[name][part] = symmetric_kl(
                mean, np.maximum(square - mean**2, 0), layer.mean, variance_of(layer.mean, layer.square)
            ).mean(axis=1)
            if one_hot is not None:
                shares = weights @ one_hot
                off = mean - shares @ layer.class_mean, square - shares @ layer.class_square
                statistic = _largest(*off, layer.class_spreads, error)
                drawn.given_classes[part] = np.maximum(drawn.given_classes[part], statistic)
    return drawn


def _largest(off_mean: Float64, off_square: Float64, spreads: tuple[Float64, Float64], error: float) -> Float64:
    """The statistic of each window, shape (windows,), from deviations of shape (windows, C)."""
    largest: Float64 = np.maximum(np.abs(off_mean) / spreads[0], np.abs(off_square) / spreads[1]).max(axis=1) / error
    return largest


def _quantiles(statistics: Float64) -> tuple[float, ...]:
    ordered = np.sort(statistics)
    return tuple(float(ordered[ceil((len(ordered) + 1) * (1 - rate)) - 1]) for rate in RATES)


def _numbers(values: Float64) -> Channels:
    # Seven digits are more than the held-out rows can tell.
    return channels(values.astype(np.float32))
