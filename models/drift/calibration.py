"""Held-out rows -> a model's drift reference: expected statistics, and thresholds for windows of rows.

A random half of the held-out rows stands for new rows, the other half for the reference that they meet, and that for
several halves. Averages, spreads and directions fit the rows that they are from; others deviate by more, and where a
channel has long tails by much more. Windows of n rows are drawn from the one half, and deviate from the other one's
averages by the variances of both (`DrawnWindows.error`), a window of new rows from all by less
(`models.drift.reference.standard_error`): measured each in its own standard error, the two deviations are alike. The
reference of all rows fits new rows better than that of half of them: the thresholds are on the safe side.

The threshold at false-alarm rate alpha is the ``ceil((B + 1)(1 - alpha))``-th smallest statistic of B windows, the
conformal quantile (Vovk et al. 2005): were the windows independent, an undisturbed one would exceed it with a
probability of at most alpha. They share rows, so the rate is measured on rows of their own, and stated with that
measurement.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.batchnorm import Float64
from models.classification import Classes
from models.drift.directions import directions_per_layer
from models.drift.divergence import g_statistic
from models.drift.drawn_windows import DrawnWindows
from models.drift.reference import ClassConditionalMoments, ExpectedMoments, Figures, Usual
from models.errors import InvalidInput
from models.manifest import Channels, ClassLayer, ClassReference, DriftReference, LayerReference, channels
from models.observation import RowStatistics

WINDOWS = (1, 16, 64, 256, 1024)
"""Rows of the windows for which thresholds are estimated, if there are twice as many held-out rows."""

RATES = (0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
"""False-alarm rates of these thresholds."""

MIN_HELD_OUT_ROWS = 64
"""The smallest number of held-out rows that a reference is estimated from."""

MAX_HELD_OUT_ROWS = 5000
"""The largest. More hardly change the thresholds, and would leave none to check them on."""

MAX_CLASS_CHANNELS = 100_000
"""Classes times channels of a model with a reference by class. A larger one could exceed the size of the model."""

_DRAWS = 8000
_CHUNK = 500
_CACHED = 16_384
_MIN_USUAL = 1e-12
_LARGEST = float(np.finfo(np.float32).max)
"""Of a mean square that the reference can state."""


def estimate(
    observed: Mapping[str, RowStatistics], predicted: Classes | None, num_classes: int, seed: int = 0
) -> DriftReference:
    """Estimate the reference from held-out rows.

    Args:
        observed: by layer, of the same N rows, which the network must not have been trained on.
        predicted: their predicted classes, shape (N,); None if the model does not classify.
        num_classes: K; ignored if the model does not classify.
        seed: of the windows that are drawn.

    Returns:
        With thresholds for windows of up to N/2 rows, out of `WINDOWS`.

    Raises:
        InvalidInput: there are no layers, fewer than `MIN_HELD_OUT_ROWS` rows, or some that are not finite in a layer.
    """
    rows = len(next(iter(observed.values()), ()))
    if rows < MIN_HELD_OUT_ROWS:
        raise InvalidInput(f"got {rows} held-out rows, thresholds need at least {MIN_HELD_OUT_ROWS}")
    _require_finite(observed)
    one_hot = None if predicted is None else np.eye(num_classes)[predicted]
    num_channels = sum(found.mean.shape[1] for found in observed.values())
    by_class = one_hot if num_classes * num_channels <= MAX_CLASS_CHANNELS else None
    count = directions_per_layer({name: found.mean.shape[1] for name, found in observed.items()})
    layers = {name: _Layer.of(found, by_class, count) for name, found in observed.items()}
    windows = tuple(size for size in WINDOWS if size <= rows // 2)
    halves = list(_halves(layers, rows, count, np.random.default_rng(seed)))
    drawn = [_draw(layers, halves, one_hot, rows, size, np.random.default_rng([seed, size])) for size in windows]
    return DriftReference(
        rows=rows,
        windows=windows,
        false_alarm_rates=RATES,
        thresholds=tuple(_quantiles(found.overall) for found in drawn),
        layers={
            name: LayerReference(
                mean=_channels(layer.expected.mean),
                mean_square=_channels(layer.expected.mean_square),
                mean_spread=_channels(layer.expected.mean_spread),
                square_spread=_channels(layer.expected.square_spread),
                usual_deviation=tuple(found.usual[name].deviation for found in drawn),
                usual_divergence=tuple(found.usual[name].divergence for found in drawn),
                directions=None if layer.expected.directions is None else layer.expected.directions.stated(),
                usual_t_squared=tuple(found.usual[name].t_squared for found in drawn),
                thresholds=tuple(_quantiles(found.by_layer[name]) for found in drawn),
                kl_noise=tuple(found.kl_noise[name] for found in drawn),
                wasserstein_noise=tuple(found.wasserstein_noise[name] for found in drawn),
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


def _require_finite(observed: Mapping[str, RowStatistics]) -> None:
    for name, found in observed.items():
        is_finite = np.isfinite(found.mean) & (np.abs(found.mean_square) < _LARGEST)
        broken = np.flatnonzero(~np.all(is_finite, axis=1))
        if broken.size:
            raise InvalidInput(
                f"layer '{name}' gives no finite numbers for {broken.size} of {len(found)} held-out rows, "
                f"the first of which is row {broken[0]}: leave them out"
            )


@dataclass(frozen=True)
class _Layer:
    """A layer's held-out rows, what they let expect, and what those of each predicted class do."""

    rows: RowStatistics
    expected: ExpectedMoments
    given: ClassConditionalMoments | None

    @classmethod
    def of(cls, rows: RowStatistics, one_hot: Float64 | None, num_directions: int) -> Self:
        given = None if one_hot is None else ClassConditionalMoments.of_rows(rows, one_hot)
        return cls(rows, ExpectedMoments.of_rows(rows, num_directions), given)

    def averages(self, drawn: DrawnWindows) -> Iterator[tuple[slice, Float64, Float64]]:
        """The means and mean squares of a few windows at a time: of all, they would not stay in the processor's cache.

        Returns:
            The place of the windows among those drawn, and both averages, shape (windows, C).
        """
        mean, mean_square = drawn.average(self.rows.mean), drawn.average(self.rows.mean_square)
        step = max(_CACHED // mean.shape[1], 1)
        for start in range(0, len(mean), step):
            part = slice(start, start + step)
            yield part, mean[part], mean_square[part]


@dataclass(frozen=True)
class _Half:
    """A random half of the held-out rows, by index, and what the other half, of `others` rows, lets expect by layer."""

    rows: NDArray[np.int64]
    others: int
    expected: dict[str, ExpectedMoments]


def _halves(
    layers: Mapping[str, _Layer], rows: int, num_directions: int, random: np.random.Generator
) -> Iterator[_Half]:
    for _ in range(_DRAWS // _CHUNK):
        half, other = np.array_split(random.permutation(rows), 2)
        expected = {
            name: ExpectedMoments.of_rows(layer.rows.take(other), num_directions) for name, layer in layers.items()
        }
        yield _Half(half, len(other), expected)


@dataclass(frozen=True)
class _Drawn:
    """What the drawn windows of one number of rows showed.

    Attributes:
        overall, classes, given: the statistics of each window, shape (draws,): over all layers, of the predicted
            classes, and over all layers with the classes given.
        by_layer: the statistics by layer, shape (draws,).
        usual: what one window in a hundred exceeds, by layer.
        kl_noise, wasserstein_noise: average divergence and squared distance, by layer.
    """

    overall: Float64
    by_layer: dict[str, Float64]
    usual: dict[str, Usual]
    kl_noise: dict[str, float]
    wasserstein_noise: dict[str, float]
    classes: Float64
    given: Float64


def _draw(
    layers: Mapping[str, _Layer],
    halves: Sequence[_Half],
    one_hot: Float64 | None,
    rows: int,
    size: int,
    random: np.random.Generator,
) -> _Drawn:
    parts: dict[str, list[Figures]] = {name: [] for name in layers}
    distance = {name: np.zeros(_DRAWS) for name in layers}
    classes, given = np.zeros(_DRAWS), np.zeros(_DRAWS)
    for start, half in zip(range(0, _DRAWS, _CHUNK), halves, strict=True):
        drawn, chunk = DrawnWindows.draw(rows, half.rows, size, _CHUNK, random), slice(start, start + _CHUNK)
        error, shares = drawn.error(half.others), None
        if one_hot is not None:
            shares, total = drawn.average(one_hot), one_hot.sum(axis=0)
            counts = np.rint(size * shares)
            classes[chunk] = g_statistic(counts, total if drawn.replaced else total - counts)
        for name, layer in layers.items():
            for part, mean, mean_square in layer.averages(drawn):
                expected = half.expected[name]
                parts[name].append(expected.figures(mean, mean_square))
                distance[name][chunk][part] = expected.wasserstein_squared(mean, mean_square).mean(axis=1)
                if layer.given is not None and shares is not None:
                    statistic = layer.given.statistic(mean, mean_square, shares[part], size, drawn=not drawn.replaced)
                    given[chunk][part] = np.maximum(given[chunk][part], statistic)
    figures = {name: Figures.joined(found) for name, found in parts.items()}
    usual = {name: Usual(*map(_usual, found.in_errors(error))) for name, found in figures.items()}
    by_layer = {name: usual[name].of_windows(size).statistic(found, error) for name, found in figures.items()}
    noise = (1 / size + 1 / rows) / error**2  # of new windows, relative to that of the drawn ones
    return _Drawn(
        overall=np.max(list(by_layer.values()), axis=0),
        by_layer=by_layer,
        usual=usual,
        kl_noise={name: noise * float(found.divergence.mean()) for name, found in figures.items()},
        wasserstein_noise={name: noise * float(distance[name].mean()) for name in layers},
        classes=classes,
        given=given,
    )


def _usual(values: Float64) -> float:
    return max(_quantiles(values)[RATES.index(0.01)], _MIN_USUAL)


def _quantiles(statistics: Float64) -> tuple[float, ...]:
    ordered = np.sort(statistics)
    return tuple(float(ordered[ceil((len(ordered) + 1) * (1 - rate)) - 1]) for rate in RATES)


def _class_layer(given: ClassConditionalMoments) -> ClassLayer:
    def numbers(values: Float64) -> tuple[Channels, ...]:
        return tuple(tuple(float(f"{value:.5g}") for value in channel) for channel in values)

    return ClassLayer(
        mean=numbers(given.mean),
        mean_square=numbers(given.mean_square),
        mean_spread=numbers(np.sqrt(given.mean_variance)),
        square_spread=numbers(np.sqrt(given.square_variance)),
    )


def _channels(values: Float64) -> Channels:
    return channels(values.astype(np.float32))  # seven digits: the held-out rows do not determine more
