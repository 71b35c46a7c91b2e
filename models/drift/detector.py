"""Has the input moved? A window of rows against what the layers remember, with a stated false-alarm rate.

Two questions, asked apart, since with enough rows everything is significant and nothing need matter:

- Significance. How many standard errors the window's rows are off the held-out rows in one channel, in their means
  or mean squares: ``|average - reference| / (spread * sqrt(1/n + 1/rows))``, the largest of all channels. And how far
  all channels are off together: their symmetric divergence, over ``1/n + 1/rows``. The first finds a shift of few
  channels, the second one of many. The statistic is the larger of the two, each relative to what one undisturbed
  window in a hundred exceeds; over all layers, the largest. Its threshold is a quantile over windows drawn from
  held-out rows, so that correlation between channels, layers and the two needs no model. Rows are counted, never
  positions.
- Size. The symmetric Kullback-Leibler divergence between normal distributions with the live and the reference
  moments, averaged over channels, and their 2-Wasserstein distance; each less what chance alone makes of it in a
  window of this size. Or, where the predicted classes are significantly others: in how many rows they would have to
  change.

An alarm needs both. If the predicted classes of the window are not those of the held-out rows, and held-out rows of
the classes that it has explain what the layers meet, then the labels have shifted rather than the images (Lipton et
al. 2018, "Detecting and Correcting for Label Shift with Black Box Predictors", asks the classifier alone). Moments are
blind to geometry, and the score is no estimate of accuracy.

The idea of the layers' own statistics as a reference is that of Dong et al. 2022 ("Neural Mean Discrepancy for
Efficient Out-of-Distribution Detection") and Lee et al. 2021 ("Unsupervised Model Drift Estimation with Batch
Normalization ChannelStatistics").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.batchnorm import Float64
from models.errors import InvalidInput
from models.manifest import DriftReference, Thresholds
from models.moments.window import WindowMoments
from models.observation import RowStatistics

Verdict = Literal["quiet", "label_shift_likely", "covariate_shift", "not_enough_rows", "uncalibrated"]

FEWEST_ROWS = 16
"""Of a window that is judged: the smallest for which thresholds are measured."""

LARGE_KL = 0.05
"""Symmetric KL divergence of a layer, mean over channels, from which a shift is worth an alarm."""

LARGE_WASSERSTEIN = 0.1
"""Likewise its 2-Wasserstein distance, in standard deviations. docs/drift.md has what shifts of this size cost."""

LARGE_CLASS_DISTANCE = 0.25
"""Likewise the share of rows whose predicted class would have to be another one."""

WORST_CHANNELS = 5

_LEAST_VARIANCE = 1e-6

_OFF_THE_SCALE = 1e12

_SMALLEST_VARIANCE = 0.01
"""Of the reference's: a channel that has gone quiet is far off, but not infinitely."""

_MESSAGES: dict[Verdict, str] = {
    "quiet": "The layers meet what they met in training.",
    "label_shift_likely": "The layers meet something else, but no more than the mix of predicted classes explains: "
    "some classes are more or less frequent than among the held-out rows.",
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
        wasserstein: root mean square over channels, likewise, in standard deviations.
        worst_channels: the largest divergences, descending.
    """

    statistic: float | None
    threshold: float | None
    significant: bool | None
    symmetric_kl: float
    wasserstein: float
    worst_channels: tuple[ChannelShift, ...]


@dataclass(frozen=True)
class ClassShift:
    """The predicted classes of the window.

    Attributes:
        statistic, threshold, significant: whether they are those of the held-out rows, at the same rate. None without
            enough rows.
        distance: total variation distance, 0 to 1: the share of rows whose class would have to be another one.
        explain: whether held-out rows of these classes meet what the window's meet; None where this cannot be told.
    """

    statistic: float | None
    threshold: float | None
    significant: bool | None
    distance: float | None
    explain: bool | None


@dataclass(frozen=True)
class Assessment:
    """A window of rows.

    Attributes:
        classes: None for a model that does not classify, or without a reference.
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
    classes: ClassShift | None = None

    @property
    def alarm(self) -> bool:
        """Whether someone should look."""
        return self.verdict in ("label_shift_likely", "covariate_shift")

    @property
    def message(self) -> str:
        """The verdict in words."""
        return _MESSAGES[self.verdict]


@dataclass(frozen=True)
class Expected:
    """What the held-out rows let a layer expect of a window, shape (C,) each, in z units.

    The methods take a window's averages over rows of their means and mean squares, shape (..., C), give one number for
    a window, shape (...), and do not know how many rows it has.

    Attributes:
        mean, mean_square: averages over the held-out rows.
        mean_spread, square_spread: standard deviations over them.
    """

    mean: Float64
    mean_square: Float64
    mean_spread: Float64
    square_spread: Float64

    @property
    def variance(self) -> Float64:
        """Over rows and positions; a channel that never varied keeps a little, to divide by."""
        variance: Float64 = np.maximum(self.mean_square - self.mean**2, _LEAST_VARIANCE)
        return variance

    def deviation(self, mean: Float64, mean_square: Float64) -> Float64:
        """The largest deviation of all channels, in standard deviations over rows."""
        off_mean = np.abs(mean - self.mean) / self.mean_spread
        off_square = np.abs(mean_square - self.mean_square) / self.square_spread
        found: Float64 = np.maximum(off_mean, off_square).max(axis=-1)
        return found

    def divergences(self, mean: Float64, mean_square: Float64) -> Float64:
        """Symmetric KL divergence of each channel, shape (..., C)."""
        return symmetric_kl(mean, np.maximum(mean_square - mean**2, 0), self.mean, self.variance)

    def distance(self, mean: Float64, mean_square: Float64) -> Float64:
        """Squared Wasserstein distance, mean over channels."""
        variance = np.maximum(mean_square - mean**2, 0)
        found: Float64 = wasserstein_squared(mean, variance, self.mean, self.variance).mean(axis=-1)
        return found

    def statistic(self, moments: tuple[Float64, Float64], error: float, usual: tuple[float, float]) -> Float64:
        """The larger of deviation and divergence, each relative to what is usual.

        Args:
            moments: of the windows.
            error: of an average over a window's rows, in standard deviations over rows.
            usual: deviation in errors, and divergence in squared errors, that one window in a hundred exceeds.
        """
        deviation = self.deviation(*moments) / error / usual[0]
        divergence = self.divergences(*moments).mean(axis=-1) / error**2 / usual[1]
        found: Float64 = np.maximum(deviation, divergence)
        return found


@dataclass(frozen=True)
class GivenClasses:
    """What a layer meets in rows of each predicted class.

    Attributes:
        counts: held-out rows of each class, shape (K,).
        mean, mean_square: averages over them, shape (K, C).
        mean_variance, square_variance: variances over them, likewise.
    """

    counts: Float64
    mean: Float64
    mean_square: Float64
    mean_variance: Float64
    square_variance: Float64

    def statistic(
        self, moments: tuple[Float64, Float64], shares: Float64, rows: int, *, drawn: bool = False
    ) -> Float64:
        """How many standard errors windows are off what their classes make them expect, the largest of all channels.

        Args:
            moments: averages over the window of the rows' means and mean squares, shape (..., C).
            shares: of each class in the window, shape (..., K).
            rows: of a window.
            drawn: whether the window is a part of the held-out rows, which it then deviates less from.
        """
        unsure = np.square(shares) / np.maximum(self.counts, 1) * (-1 if drawn else 1)
        weight = shares / rows + unsure
        errors = (np.maximum(weight @ variance, 1e-12) for variance in (self.mean_variance, self.square_variance))
        expected = shares @ self.mean, shares @ self.mean_square
        off = [np.abs(m - e) / np.sqrt(error) for m, e, error in zip(moments, expected, errors, strict=True)]
        found: Float64 = np.maximum(*off).max(axis=-1)
        return found


class Detector:
    """Compares windows with a model's reference; built once a model.

    Args:
        reference: from the manifest; None compares with mean 0 and variance 1, and judges nothing.
    """

    def __init__(self, reference: DriftReference | None) -> None:
        self._reference = reference
        self._layers: dict[str, Expected] = {}
        if reference is None:
            return
        for name, layer in reference.layers.items():
            self._layers[name] = Expected(
                np.array(layer.mean),
                np.array(layer.mean_square),
                floor_spread(layer.mean_spread),
                floor_spread(layer.square_spread),
            )
        self._given: dict[str, GivenClasses] = {}
        if reference.classes is not None:
            counts = np.array(reference.classes.counts, dtype=np.float64)
            for name, given in reference.classes.layers.items():
                spreads = np.square(given.mean_spread), np.square(given.square_spread)
                self._given[name] = GivenClasses(counts, np.array(given.mean), np.array(given.mean_square), *spreads)

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
        judged = rows >= FEWEST_ROWS
        if self._reference is not None:
            _require_rate(false_alarm_rate, self._reference)
        statistics = self._statistics(window, self._reference) if self._reference is not None and judged else {}
        classes = self._classes(window, class_counts, rows, false_alarm_rate)
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
            threshold = threshold_at(self._reference, self._reference.thresholds, rows, false_alarm_rate)
            significant = statistic > threshold
            classes_large = classes is not None and bool(
                classes.significant and (classes.distance or 0) >= LARGE_CLASS_DISTANCE
            )
            large = classes_large or any(
                layer.symmetric_kl >= LARGE_KL or layer.wasserstein >= LARGE_WASSERSTEIN for layer in layers.values()
            )
            verdict = "quiet"
            if significant and large:
                labels = classes is not None and classes.significant and classes.explain
                verdict = "label_shift_likely" if labels else "covariate_shift"
        return Assessment(rows, verdict, statistic, threshold, significant, kl, wasserstein, layers, classes)

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
        scores = np.max(statistics, axis=0) / threshold_at(reference, reference.thresholds, 1, false_alarm_rate)
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
            name: statistic / threshold_at(reference, reference.layers[name].thresholds, 1, false_alarm_rate)
            for name, statistic in self._row_statistics(observed).items()
        }

    def _known(self) -> DriftReference:
        if self._reference is None:
            raise InvalidInput("the model has no held-out rows to compare with")
        return self._reference

    def _row_statistics(self, observed: Mapping[str, RowStatistics]) -> dict[str, Float64]:
        reference = self._known()
        error = float(np.sqrt(1 + 1 / reference.rows))
        found = {}
        for name, rows in observed.items():
            if name in self._layers:
                usual = _usual(reference, name, 1)
                statistic = self._layers[name].statistic((rows.mean, rows.mean_square), error, usual)
                # An input that is no number, or too large to square, is off by as much as can be.
                found[name] = np.nan_to_num(statistic, nan=_OFF_THE_SCALE).clip(max=_OFF_THE_SCALE)
        return found

    def _statistics(self, window: Mapping[str, WindowMoments], reference: DriftReference) -> dict[str, float]:
        found = {}
        for name, moments in window.items():
            layer = self._layers.get(name)
            if layer is None or not moments.count:
                continue
            _require_channels(name, moments, layer)
            error = float(np.sqrt(1 / moments.count + 1 / reference.rows))
            usual = _usual(reference, name, moments.count)
            found[name] = float(layer.statistic((moments.row_mean, moments.row_square), error, usual))
        return found

    def _layer(self, name: str, moments: WindowMoments, statistic: float | None, rate: float) -> LayerShift:
        layer = self._layers.get(name)
        if layer is None:
            layer = Expected(*(np.full_like(moments.mean, value) for value in (0.0, 1.0, 1.0, 1.0)))
        _require_channels(name, moments, layer)
        kl = layer.divergences(moments.row_mean, moments.row_square)
        distance = float(layer.distance(moments.row_mean, moments.row_square))
        worst = np.argsort(-kl, kind="stable")[:WORST_CHANNELS]
        threshold, kl_noise, distance_noise = None, 0.0, 0.0
        if self._reference is not None and name in self._reference.layers:
            known = self._reference.layers[name]
            kl_noise = noise_at(self._reference, known.kl_noise, moments.count)
            distance_noise = noise_at(self._reference, known.wasserstein_noise, moments.count)
            if statistic is not None:
                threshold = threshold_at(self._reference, known.thresholds, moments.count, rate)
        return LayerShift(
            statistic,
            threshold,
            None if statistic is None or threshold is None else statistic > threshold,
            max(float(kl.mean()) - kl_noise, 0.0),
            max(distance - distance_noise, 0.0) ** 0.5,
            tuple(
                ChannelShift(int(c), float(moments.mean[c]), float(moments.variance[c]), float(kl[c])) for c in worst
            ),
        )

    def _classes(
        self, window: Mapping[str, WindowMoments], class_counts: ArrayLike | None, rows: int, rate: float
    ) -> ClassShift | None:
        reference = self._reference
        if reference is None or reference.classes is None or class_counts is None:
            return None
        counts = np.asarray(class_counts, dtype=np.float64)
        if counts.shape != (len(reference.classes.counts),):
            return None
        if rows < FEWEST_ROWS or not counts.any():
            return ClassShift(None, None, None, None, None)
        known = np.array(reference.classes.counts, dtype=np.float64)
        statistic = float(class_statistic(counts, known))
        distance = float(np.abs(counts / counts.sum() - known / known.sum()).sum() / 2)
        threshold = threshold_at(reference, reference.classes.thresholds, int(counts.sum()), rate)
        return ClassShift(
            statistic, threshold, statistic > threshold, distance, self._explain(window, counts, rows, rate)
        )

    def _explain(self, window: Mapping[str, WindowMoments], counts: Float64, rows: int, rate: float) -> bool | None:
        """Whether held-out rows of the same classes meet what the window's rows meet."""
        reference = self._reference
        given = {name: moments for name, moments in window.items() if name in self._given and moments.count}
        if reference is None or reference.classes is None or not given:
            return None
        if (counts > 0).any(where=np.array(reference.classes.counts) == 0):
            return False  # a class that no held-out row was taken for
        shares = counts / counts.sum()
        statistics = [
            self._given[name].statistic((moments.row_mean, moments.row_square), shares, moments.count)
            for name, moments in given.items()
        ]
        return bool(max(statistics) <= threshold_at(reference, reference.classes.given_thresholds, rows, rate))


def class_statistic(counts: ArrayLike, reference: ArrayLike) -> Float64:
    """Whether two histograms are of one distribution: ``2 sum O ln(O / E)`` of both, the G statistic, shape (...).

    Args:
        counts, reference: rows by class, shape (..., K).
    """
    both = np.stack(np.broadcast_arrays(np.asarray(counts, np.float64), np.asarray(reference, np.float64)))
    whole = both.sum(axis=(0, -1), keepdims=True)
    expected = both.sum(axis=-1, keepdims=True) * both.sum(axis=0, keepdims=True) / whole
    ratio = np.divide(both, expected, out=np.ones_like(both), where=both > 0)
    found: Float64 = 2 * (both * np.log(ratio)).sum(axis=(0, -1))
    return found


def symmetric_kl(mean: Float64, variance: Float64, reference_mean: Float64, reference_variance: Float64) -> Float64:
    """Half the sum of both Kullback-Leibler divergences between two normal distributions, per channel.

    Args:
        mean, variance, reference_mean, reference_variance: of one shape, float64; the reference's variance positive.
    """
    v = np.maximum(variance, _SMALLEST_VARIANCE * reference_variance)
    d = np.square(mean - reference_mean)
    divergence: Float64 = 0.25 * ((v + d) / reference_variance + (reference_variance + d) / v - 2)
    return divergence


def wasserstein_squared(
    mean: Float64, variance: Float64, reference_mean: Float64, reference_variance: Float64
) -> Float64:
    """Squared 2-Wasserstein distance of two normal distributions, in the reference's variances, per channel."""
    d = np.square(mean - reference_mean) + np.square(np.sqrt(variance) - np.sqrt(reference_variance))
    distance: Float64 = d / reference_variance
    return distance


def floor_spread(spread: ArrayLike) -> Float64:
    """Standard deviations to divide by, shape (C,): a channel that hardly varies is not infinitely sensitive."""
    values = np.asarray(spread, dtype=np.float64)
    floor: Float64 = np.maximum(values, max(1e-3 * float(np.median(values)), 1e-9))
    return floor


def threshold_at(reference: DriftReference, table: Thresholds, rows: int, rate: float) -> float:
    """A threshold, linear in the logarithms of the window and the rate; windows beyond the table take its end.

    What is usual falls with the window, as averages of more rows have lighter tails: the end is on the safe side.
    """
    by_rate = [float(np.interp(np.log(rate), np.log(reference.false_alarm_rates[::-1]), row[::-1])) for row in table]
    return _over_windows(reference, by_rate, rows)


def noise_at(reference: DriftReference, noise: ArrayLike, rows: int) -> float:
    """What chance makes of a size in a window of this many rows: it falls as one over their number."""
    table = np.maximum(np.asarray(noise, dtype=np.float64), 1e-12)
    largest = reference.windows[-1]
    if rows > largest:
        return float(table[-1] * largest / rows)
    return float(np.exp(np.interp(np.log(rows), np.log(reference.windows), np.log(table))))


def _over_windows(reference: DriftReference, values: Sequence[float], rows: int) -> float:
    return float(np.interp(np.log(rows), np.log(reference.windows), values))


def _usual(reference: DriftReference, name: str, rows: int) -> tuple[float, float]:
    layer = reference.layers[name]
    deviation, divergence = layer.usual_deviation, layer.usual_divergence
    return _over_windows(reference, deviation, rows), _over_windows(reference, divergence, rows)


def _require_rate(rate: float, reference: DriftReference) -> None:
    largest, smallest = reference.false_alarm_rates[0], reference.false_alarm_rates[-1]
    if not smallest <= rate <= largest:
        raise InvalidInput(
            f"must be from {smallest:g} to {largest:g}: other rates were not measured", "false_alarm_rate"
        )


def _require_channels(name: str, moments: WindowMoments, layer: Expected) -> None:
    if moments.mean.shape != layer.mean.shape:
        raise InvalidInput(f"{len(moments.mean)} channels, {len(layer.mean)} in the reference", name)
