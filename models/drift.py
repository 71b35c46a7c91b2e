"""Has the input moved? A window of rows against what the layers remember, with a stated false-alarm rate.

Two questions, asked apart, since with enough rows everything is significant and nothing need matter:

- Significance. In each channel, how many standard errors the window's rows are off the held-out rows, in their means
  and their mean squares: ``|average - reference| / (spread * sqrt(1/n + 1/rows))``. The statistic is the largest over
  all channels (and layers); its threshold is a quantile over windows drawn from held-out rows, so that correlation
  between channels and layers needs no model. Rows are counted, never positions.
- Size. The symmetric Kullback-Leibler divergence between normal distributions with the live and the reference
  moments, averaged over channels, less what chance alone makes of it in a window of this size; and the 2-Wasserstein
  distance.

An alarm needs both. If the held-out rows, reweighted to the predicted classes of the window, explain what the layers
meet, the labels have shifted rather than the images (Lipton et al. 2018, "Detecting and Correcting for Label Shift
with Black Box Predictors", asks the classifier alone). Moments are blind to geometry, and the score is no estimate of
accuracy.

The idea of the layers' own statistics as a reference is that of Dong et al. 2022 ("Neural Mean Discrepancy for
Efficient Out-of-Distribution Detection") and Lee et al. 2021 ("Unsupervised Model Drift Estimation with Batch
Normalization Statistics").
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.batchnorm import Float64
from models.errors import InvalidInput
from models.manifest import DriftReference
from models.observation import RowStatistics, WindowMoments

Verdict = Literal["quiet", "label_shift_likely", "covariate_shift", "not_enough_rows", "uncalibrated"]

FEWEST_ROWS = 16
"""Of a window that is judged: the smallest for which thresholds are measured."""

LARGE_KL = 0.1
"""Symmetric KL divergence of a layer, mean over channels, from which a shift is worth an alarm."""

LARGE_WASSERSTEIN = 0.2
"""Likewise its 2-Wasserstein distance, in standard deviations."""

WORST_CHANNELS = 5

_SMALLEST_VARIANCE = 0.01
"""Of the reference's: a channel that has gone quiet is far off, but not infinitely."""

_MESSAGES: dict[Verdict, str] = {
    "quiet": "The layers meet what they met in training.",
    "label_shift_likely": "The layers meet something else, but no more than the mix of predicted classes explains: "
    "some classes are more or less frequent than in training.",
    "covariate_shift": "The layers meet something else than in training, and the mix of predicted classes does not "
    "explain it: the inputs themselves have moved.",
    "not_enough_rows": f"Fewer than {FEWEST_ROWS} rows have been seen in this window.",
    "uncalibrated": "The model has no held-out rows to compare with, so there is no threshold: only sizes are shown.",
}


@dataclass(frozen=True)
class ChannelShift:
    """One channel in the window, in z units."""

    channel: int
    mean: float
    variance: float
    symmetric_kl: float


@dataclass(frozen=True)
class LayerShift:
    """One layer in the window.

    Attributes:
        statistic, threshold, significant: None without a reference or enough rows.
        symmetric_kl: mean over channels, less what chance makes, not below 0.
        wasserstein: mean over channels, in standard deviations.
        worst_channels: the largest divergences, descending.
    """

    statistic: float | None
    threshold: float | None
    significant: bool | None
    symmetric_kl: float
    wasserstein: float
    worst_channels: tuple[ChannelShift, ...]


@dataclass(frozen=True)
class Assessment:
    """A window of rows.

    Attributes:
        statistic, threshold, significant: over all layers; None without a reference or enough rows.
        symmetric_kl, wasserstein: means over layers.
    """

    rows: int
    verdict: Verdict
    statistic: float | None
    threshold: float | None
    significant: bool | None
    symmetric_kl: float
    wasserstein: float
    layers: Mapping[str, LayerShift]

    @property
    def alarm(self) -> bool:
        """Whether someone should look."""
        return self.verdict in ("label_shift_likely", "covariate_shift")

    @property
    def message(self) -> str:
        """The verdict in words."""
        return _MESSAGES[self.verdict]


@dataclass(frozen=True)
class _Layer:
    """A layer's reference as arrays, shape (C,) each."""

    mean: Float64
    mean_square: Float64
    mean_spread: Float64
    square_spread: Float64

    @property
    def variance(self) -> Float64:
        return variance_of(self.mean, self.mean_square)


class Detector:
    """Compares windows with a model's reference; built once a model.

    Args:
        reference: from the manifest; None compares with mean 0 and variance 1, and judges nothing.
    """

    def __init__(self, reference: DriftReference | None) -> None:
        self._reference = reference
        self._layers: dict[str, _Layer] = {}
        if reference is None:
            return
        for name, layer in reference.layers.items():
            self._layers[name] = _Layer(
                np.array(layer.mean),
                np.array(layer.mean_square),
                floored(layer.mean_spread),
                floored(layer.square_spread),
            )
        if reference.classes is not None:
            classes = reference.classes
            self._class_means = {name: np.array(values) for name, values in classes.mean.items()}
            self._class_squares = {name: np.array(values) for name, values in classes.mean_square.items()}

    @property
    def reference(self) -> DriftReference | None:
        """What windows are compared with."""
        return self._reference

    def assess(
        self,
        window: Mapping[str, WindowMoments],
        class_counts: ArrayLike | None = None,
        false_alarm_rate: float = 0.01,
    ) -> Assessment:
        """Judge a window.

        Args:
            window: by layer. Layers that the reference does not know are left out of the judgement.
            class_counts: the window's rows by predicted class, shape (K,).
            false_alarm_rate: per window, between the smallest and the largest of the reference.

        Raises:
            InvalidInput: the rate is beyond those that were measured, or a layer has another number of channels.
        """
        rows = max((moments.count for moments in window.values()), default=0)
        judged = self._reference is not None and rows >= FEWEST_ROWS
        if self._reference is not None:
            _require_rate(false_alarm_rate, self._reference)
        statistics = self._statistics(window) if judged else {}
        layers = {
            name: self._layer(name, moments, statistics.get(name), false_alarm_rate)
            for name, moments in window.items()
            if moments.count
        }
        kl = float(np.mean([layer.symmetric_kl for layer in layers.values()])) if layers else 0.0
        wasserstein = float(np.mean([layer.wasserstein for layer in layers.values()])) if layers else 0.0
        statistic = threshold = significant = None
        verdict: Verdict = "uncalibrated" if self._reference is None else "not_enough_rows"
        if rows < FEWEST_ROWS:
            verdict = "not_enough_rows"
        if self._reference is not None and statistics:
            statistic = max(statistics.values())
            threshold = interpolated(self._reference, self._reference.thresholds, rows, false_alarm_rate)
            significant = statistic > threshold
            large = any(
                layer.symmetric_kl >= LARGE_KL or layer.wasserstein >= LARGE_WASSERSTEIN for layer in layers.values()
            )
            verdict = "quiet"
            if significant and large:
                explained = self._explained_by_classes(window, class_counts, rows, false_alarm_rate)
                verdict = "label_shift_likely" if explained else "covariate_shift"
        return Assessment(rows, verdict, statistic, threshold, significant, kl, wasserstein, layers)

    def row_scores(
        self, observed: Mapping[str, RowStatistics], false_alarm_rate: float = 0.01
    ) -> tuple[Float64, NDArray[np.int64]]:
        """How unusual each row is by itself.

        Args:
            observed: by layer.
            false_alarm_rate: share of undisturbed rows that score more than 1.

        Returns:
            Scores, shape (rows,): the statistic of a window of one row over its threshold. And the index of each row's
            most deviant layer in the order of `observed`, each layer measured by its own threshold.

        Raises:
            InvalidInput: there is no reference, or the rate is beyond those that were measured.
        """
        relative = self.layer_scores(observed, false_alarm_rate)
        reference = self._known()
        statistics = list(self._row_statistics(observed).values())
        scores = np.max(statistics, axis=0) / interpolated(reference, reference.thresholds, 1, false_alarm_rate)
        position = {name: index for index, name in enumerate(observed)}
        deviant = np.array([position[name] for name in relative])[np.argmax(list(relative.values()), axis=0)]
        return scores, deviant

    def layer_scores(self, observed: Mapping[str, RowStatistics], false_alarm_rate: float = 0.01) -> dict[str, Float64]:
        """How unusual each row is in each layer: its statistic there over the layer's own threshold, shape (rows,).

        Args:
            observed: by layer. Layers that the reference does not know are left out.
            false_alarm_rate: share of undisturbed rows that score more than 1 in a layer.

        Raises:
            InvalidInput: there is no reference, or the rate is beyond those that were measured.
        """
        reference = self._known()
        _require_rate(false_alarm_rate, reference)
        return {
            name: statistic / interpolated(reference, reference.layers[name].thresholds, 1, false_alarm_rate)
            for name, statistic in self._row_statistics(observed).items()
        }

    def _known(self) -> DriftReference:
        if self._reference is None:
            raise InvalidInput("the model has no held-out rows to compare with")
        return self._reference

    def _row_statistics(self, observed: Mapping[str, RowStatistics]) -> dict[str, Float64]:
        error = np.sqrt(1 + 1 / self._known().rows)
        found = {}
        for name, rows in observed.items():
            layer = self._layers.get(name)
            if layer is None:
                continue
            off_mean = np.abs(rows.mean - layer.mean) / layer.mean_spread
            off_square = np.abs(rows.mean_square - layer.mean_square) / layer.square_spread
            found[name] = np.maximum(off_mean, off_square).max(axis=1) / error
        return found

    def _statistics(self, window: Mapping[str, WindowMoments]) -> dict[str, float]:
        assert self._reference is not None  # noqa: S101 - for the type checker: only called where there is one
        found = {}
        for name, moments in window.items():
            layer = self._layers.get(name)
            if layer is None or not moments.count:
                continue
            _require_channels(name, moments, layer)
            found[name] = _largest(moments, layer, self._reference.rows)
        return found

    def _layer(self, name: str, moments: WindowMoments, statistic: float | None, rate: float) -> LayerShift:
        layer = self._layers.get(name)
        if layer is None:
            layer = _Layer(*(np.full_like(moments.mean, value) for value in (0.0, 1.0, 1.0, 1.0)))
        _require_channels(name, moments, layer)
        kl = symmetric_kl(moments.mean, moments.variance, layer.mean, layer.variance)
        distance = wasserstein(moments.mean, moments.variance, layer.mean, layer.variance)
        worst = np.argsort(-kl, kind="stable")[:WORST_CHANNELS]
        threshold, noise = None, 0.0
        if self._reference is not None and name in self._reference.layers:
            known = self._reference.layers[name]
            noise = interpolated_noise(self._reference, known.noise, moments.count)
            if statistic is not None:
                threshold = interpolated(self._reference, known.thresholds, moments.count, rate)
        return LayerShift(
            statistic,
            threshold,
            None if statistic is None or threshold is None else statistic > threshold,
            max(float(kl.mean()) - noise, 0.0),
            float(distance.mean()),
            tuple(
                ChannelShift(int(c), float(moments.mean[c]), float(moments.variance[c]), float(kl[c])) for c in worst
            ),
        )

    def _explained_by_classes(
        self, window: Mapping[str, WindowMoments], class_counts: ArrayLike | None, rows: int, rate: float
    ) -> bool:
        """Whether held-out rows with the window's mix of predicted classes would look the same."""
        reference = self._reference
        if reference is None or reference.classes is None or class_counts is None:
            return False
        counts = np.asarray(class_counts, dtype=np.float64)
        if counts.shape != (len(reference.classes.counts),) or not counts.sum():
            return False
        if any(seen and not known for seen, known in zip(counts, reference.classes.counts, strict=True)):
            return False  # a class that no held-out row was taken for
        shares = counts / counts.sum()
        statistic = 0.0
        for name, moments in window.items():
            if name not in self._class_means or not moments.count:
                continue
            expected = _Layer(
                shares @ self._class_means[name],
                shares @ self._class_squares[name],
                floored(reference.classes.mean_spread[name]),
                floored(reference.classes.square_spread[name]),
            )
            statistic = max(statistic, _largest(moments, expected, reference.rows))
        return statistic <= interpolated(reference, reference.classes.thresholds, rows, rate)


def variance_of(mean: Float64, mean_square: Float64) -> Float64:
    """Reference variance per channel; a channel that never varied keeps a little, to divide by."""
    variance: Float64 = np.maximum(mean_square - mean**2, 1e-6)
    return variance


def symmetric_kl(mean: Float64, variance: Float64, reference_mean: Float64, reference_variance: Float64) -> Float64:
    """Half the sum of both Kullback-Leibler divergences between two normal distributions, per channel.

    Args:
        mean, variance, reference_mean, reference_variance: of one shape, float64; the reference's variance positive.
    """
    v = np.maximum(variance, _SMALLEST_VARIANCE * reference_variance)
    d = np.square(mean - reference_mean)
    divergence: Float64 = 0.25 * ((v + d) / reference_variance + (reference_variance + d) / v - 2)
    return divergence


def wasserstein(mean: Float64, variance: Float64, reference_mean: Float64, reference_variance: Float64) -> Float64:
    """2-Wasserstein distance of two normal distributions, in the reference's standard deviations, per channel."""
    d = np.square(mean - reference_mean) + np.square(np.sqrt(variance) - np.sqrt(reference_variance))
    distance: Float64 = np.sqrt(d / reference_variance)
    return distance


def floored(spread: ArrayLike) -> Float64:
    """Standard deviations to divide by, shape (C,): a channel that hardly varies is not infinitely sensitive."""
    values = np.asarray(spread, dtype=np.float64)
    floor: Float64 = np.maximum(values, max(1e-3 * float(np.median(values)), 1e-9))
    return floor


def interpolated(reference: DriftReference, table: ArrayLike, rows: int, rate: float) -> float:
    """A threshold, linear in the logarithms of the window and the rate; windows beyond the table take its end.

    The threshold falls with the window, as averages of more rows have lighter tails: the end is on the safe side.
    """
    by_rate = [
        np.interp(np.log(rate), np.log(reference.false_alarm_rates[::-1]), np.asarray(row, dtype=np.float64)[::-1])
        for row in np.asarray(table, dtype=np.float64)
    ]
    return float(np.interp(np.log(rows), np.log(reference.windows), by_rate))


def interpolated_noise(reference: DriftReference, noise: ArrayLike, rows: int) -> float:
    """Divergence that chance makes in a window of this many rows: it falls as one over their number."""
    table = np.maximum(np.asarray(noise, dtype=np.float64), 1e-12)
    largest = reference.windows[-1]
    if rows > largest:
        return float(table[-1] * largest / rows)
    return float(np.exp(np.interp(np.log(rows), np.log(reference.windows), np.log(table))))


def _largest(moments: WindowMoments, expected: _Layer, rows: int) -> float:
    """The statistic of a window of one layer, against what is expected from so many held-out rows."""
    off_mean = np.abs(moments.row_mean - expected.mean) / expected.mean_spread
    off_square = np.abs(moments.row_square - expected.mean_square) / expected.square_spread
    return float(max(off_mean.max(), off_square.max()) / np.sqrt(1 / moments.count + 1 / rows))


def _require_rate(rate: float, reference: DriftReference) -> None:
    largest, smallest = reference.false_alarm_rates[0], reference.false_alarm_rates[-1]
    if not smallest <= rate <= largest:
        raise InvalidInput(
            f"must be from {smallest:g} to {largest:g}: other rates were not measured", "false_alarm_rate"
        )


def _require_channels(name: str, moments: WindowMoments, layer: _Layer) -> None:
    if moments.mean.shape != layer.mean.shape:
        raise InvalidInput(f"{len(moments.mean)} channels, {len(layer.mean)} in the reference", name)
