"""What held-out rows say about windows in which nothing has moved: the reference of `models.drift.detector`.

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
from models.drift.detector import Expected, GivenClasses, class_statistic, floor_spread
from models.errors import InvalidInput
from models.manifest import (
    Channels,
    ClassLayer,
    ClassReference,
    DriftReference,
    LayerReference,
    channels,
)
from models.observation import RowStatistics

WINDOWS = (1, 16, 64, 256, 1024)
RATES = (0.05, 0.02, 0.01, 0.005, 0.002, 0.001)

FEWEST_ROWS = 64
"""Held-out rows without which nothing is said."""

MOST_CLASS_CHANNELS = 100_000
"""Classes times channels of a model that has a reference by class. It would be larger than the model beyond."""

_SHARED_ROWS = 16.0
"""The variance within one class counts this many rows of all classes among its own: it may have few, or be constant."""

_DRAWS = 8000
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
    one_hot = None if predicted is None else np.eye(num_classes)[predicted]
    channels_ = sum(found.mean.shape[1] for found in observed.values())
    by_class = one_hot if num_classes * channels_ <= MOST_CLASS_CHANNELS else None
    layers = {name: _Layer(found, by_class) for name, found in observed.items()}
    windows = tuple(size for size in WINDOWS if size <= rows // 2)
    drawn = [_draw(layers, one_hot, rows, size, np.random.default_rng([seed, size])) for size in windows]
    return DriftReference(
        rows=rows,
        windows=windows,
        false_alarm_rates=RATES,
        thresholds=tuple(_quantiles(found.overall) for found in drawn),
        layers={
            name: LayerReference(
                mean=_numbers(layer.expected.mean),
                mean_square=_numbers(layer.expected.mean_square),
                mean_spread=_numbers(layer.expected.mean_spread),
                square_spread=_numbers(layer.expected.square_spread),
                usual_deviation=tuple(found.usual[name][0] for found in drawn),
                usual_divergence=tuple(found.usual[name][1] for found in drawn),
                thresholds=tuple(_quantiles(found.by_layer[name]) for found in drawn),
                kl_noise=tuple(found.noise[name][0] for found in drawn),
                wasserstein_noise=tuple(found.noise[name][1] for found in drawn),
            )
            for name, layer in layers.items()
        },
        classes=None
        if one_hot is None
        else ClassReference(
            counts=tuple(int(count) for count in one_hot.sum(axis=0)),
            thresholds=tuple(_quantiles(found.classes) for found in drawn),
            layers={name: _class_layer(layer.given) for name, layer in layers.items() if layer.given is not None},
            given_thresholds=tuple(_quantiles(found.given) for found in drawn),
        ),
    )


class _Layer:
    """Averages and spreads over all held-out rows, and within each predicted class."""

    def __init__(self, rows: RowStatistics, one_hot: Float64 | None) -> None:
        self.rows = rows
        both = rows.mean, rows.mean_square
        averages, spreads = (
            (values.mean(axis=0) for values in both),
            (floor_spread(values.std(axis=0)) for values in both),
        )
        self.expected = Expected(*averages, *spreads)
        self.given = None if one_hot is None else _given_classes(rows, one_hot)


def _given_classes(rows: RowStatistics, one_hot: Float64) -> GivenClasses:
    counts = one_hot.sum(axis=0)

    def within(values: Float64) -> tuple[Float64, Float64]:
        mean = one_hot.T @ values / np.maximum(counts, 1)[:, None]
        off = np.square(values - one_hot @ mean)
        shared = np.square(floor_spread(np.sqrt(off.mean(axis=0))))
        return mean, (one_hot.T @ off + _SHARED_ROWS * shared) / (counts + _SHARED_ROWS)[:, None]

    (mean, mean_variance), (square, square_variance) = within(rows.mean), within(rows.mean_square)
    return GivenClasses(counts, mean, square, mean_variance, square_variance)


def _class_layer(given: GivenClasses) -> ClassLayer:
    def numbers(values: Float64) -> tuple[Channels, ...]:
        return tuple(tuple(float(f"{value:.5g}") for value in channel) for channel in values)

    return ClassLayer(
        mean=numbers(given.mean),
        mean_square=numbers(given.mean_square),
        mean_spread=numbers(np.sqrt(given.mean_variance)),
        square_spread=numbers(np.sqrt(given.square_variance)),
    )


@dataclass(frozen=True)
class _Drawn:
    """Statistics of the windows of one number of rows that were drawn, shape (draws,) each, and what is usual.

    Attributes:
        usual: by layer, deviation and divergence that one in a hundred exceeds, in errors.
        noise: by layer, divergence and squared distance on average.
    """

    overall: Float64
    by_layer: dict[str, Float64]
    usual: dict[str, tuple[float, float]]
    noise: dict[str, tuple[float, float]]
    classes: Float64
    given: Float64


def _draw(
    layers: Mapping[str, _Layer], one_hot: Float64 | None, rows: int, size: int, random: np.random.Generator
) -> _Drawn:
    deviation, divergence, distance = ({name: np.zeros(_DRAWS) for name in layers} for _ in range(3))
    classes, given = np.zeros(_DRAWS), np.zeros(_DRAWS)
    error = float(np.sqrt(1 / size - 1 / rows))
    shares = None
    for start in range(0, _DRAWS, _CHUNK):
        part = slice(start, start + _CHUNK)
        weights = np.zeros((_CHUNK, rows))
        np.put_along_axis(weights, _windows(rows, size, random), 1 / size, axis=1)  # averages are one matrix product
        if one_hot is not None:
            shares = weights @ one_hot
            counts = np.rint(size * shares)
            classes[part] = class_statistic(counts, one_hot.sum(axis=0) - counts)
        for name, layer in layers.items():
            moments = weights @ layer.rows.mean, weights @ layer.rows.mean_square
            deviation[name][part] = layer.expected.deviation(*moments)
            divergence[name][part] = layer.expected.divergences(*moments).mean(axis=1)
            distance[name][part] = layer.expected.distance(*moments)
            if layer.given is not None and shares is not None:
                statistic = layer.given.statistic(moments, shares, size, drawn=True)
                given[part] = np.maximum(given[part], statistic)
    usual = {name: (_usual(deviation[name] / error), _usual(divergence[name] / error**2)) for name in layers}
    by_layer = {
        name: np.maximum(deviation[name] / error / usual[name][0], divergence[name] / error**2 / usual[name][1])
        for name in layers
    }
    overall = np.max(list(by_layer.values()), axis=0)
    noise = {name: (float(divergence[name].mean()), float(distance[name].mean())) for name in layers}
    return _Drawn(overall, by_layer, usual, noise, classes, given)


def _windows(rows: int, size: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Indices of the rows of windows, shape (`_CHUNK`, size): all rows in random order, cut up, as often as needed."""
    per_order = rows // size
    orders = np.tile(np.arange(rows), (-(-_CHUNK // per_order), 1))
    cut = random.permuted(orders, axis=1)[:, : per_order * size].reshape(-1, size)
    chosen: NDArray[np.int64] = cut[:_CHUNK]
    return chosen


def _usual(values: Float64) -> float:
    return max(_quantiles(values)[RATES.index(0.01)], 1e-12)


def _quantiles(statistics: Float64) -> tuple[float, ...]:
    ordered = np.sort(statistics)
    return tuple(float(ordered[ceil((len(ordered) + 1) * (1 - rate)) - 1]) for rate in RATES)


def _numbers(values: Float64) -> Channels:
    # Seven digits are more than the held-out rows can tell.
    return channels(values.astype(np.float32))
