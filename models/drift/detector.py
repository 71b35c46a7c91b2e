"""Has the input moved? Compares a window of rows with a model's reference, at a stated false-alarm rate.

Two separate questions, since with enough rows every shift is significant, however small:

- Significance. How many standard errors the window's rows are off the held-out rows in one channel, in their means
  or mean squares: ``|average - reference| / (spread * error)``, the largest of all channels; the error counts the
  window's rows and the reference's (`models.drift.reference.standard_error`). How far all channels are off
  together: their symmetric divergence, over the error squared. And how far they are off in the directions in which they
  hardly vary together (`models.drift.directions`). The first finds a shift of few channels, the second one of many, the
  third one that breaks what channels have in common. The statistic is the largest of the three, each relative to what
  one undisturbed window in a hundred exceeds; over all layers, the largest. Its threshold is a quantile over windows
  drawn from held-out rows, so that correlation between channels, layers and the three needs no model. Rows are counted,
  never positions.
- Size. The symmetric Kullback-Leibler divergence between normal distributions with the live and the reference
  moments, averaged over channels, and their 2-Wasserstein distance; each less what chance alone makes of it in a
  window of this size. Or, where the shares of the predicted classes differ significantly: in how many rows the
  predicted class would have to be another one.

An alarm needs both. If the shares of the predicted classes differ from those of the held-out rows, and held-out rows
with the window's shares explain the statistics of the layers, then the labels have shifted rather than the inputs
(Lipton et al. 2018, "Detecting and Correcting for Label Shift with Black Box Predictors", uses the classifier alone).
The score is no estimate of accuracy.

The idea of the layers' own statistics as a reference is that of Dong et al. 2022 ("Neural Mean Discrepancy for
Efficient Out-of-Distribution Detection") and Lee et al. 2021 ("Unsupervised Model Drift Estimation with Batch
Normalization Statistics").
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.batchnorm import Float64
from models.drift.assessment import (
    MIN_WINDOW_ROWS,
    Assessment,
    ChannelShift,
    ClassShift,
    LayerShift,
    Verdict,
    decide,
)
from models.drift.baseline import CLASSES, GIVEN_CLASSES, OVERALL, Baseline, layer_statistic
from models.drift.divergence import g_statistic, unusual_classes
from models.drift.reference import ChannelShifts, ClassConditionalMoments, ExpectedMoments, standard_error
from models.drift.thresholds import WindowThresholds, noise_at, require_rate, threshold_at, usual_at
from models.errors import InvalidInput
from models.manifest import DriftReference
from models.moments.layers import count_rows
from models.moments.window import WindowMoments
from models.observation import RowStatistics

WORST_CHANNELS = 5
"""Channels that an assessment names in each layer."""

_OFF_THE_SCALE = 1e12


class Detector:
    """Compares windows with a model's reference; made once for each model.

    Args:
        reference: from the manifest. Without, windows are compared with mean 0 and variance 1, and get no verdict.

    Attributes:
        reference: what windows are compared with.
    """

    def __init__(self, reference: DriftReference | None) -> None:
        self.reference = reference
        self._expected: dict[str, ExpectedMoments] = {}
        self._given_classes: dict[str, ClassConditionalMoments] = {}
        if reference is None:
            return
        self._expected = {name: ExpectedMoments.of_layer(layer) for name, layer in reference.layers.items()}
        if (classes := reference.classes) is not None:
            self._given_classes = {
                name: ClassConditionalMoments.of_layer(layer, classes.counts) for name, layer in classes.layers.items()
            }

    def assess(
        self,
        window: Mapping[str, WindowMoments],
        class_counts: ArrayLike | None = None,
        false_alarm_rate: float = 0.01,
        baseline: Baseline | None = None,
    ) -> Assessment:
        """The figures of a window, and the verdict.

        Args:
            window: moments by layer. Layers without a reference show their sizes and do not count for the verdict.
            class_counts: the window's rows by predicted class, shape (K,).
            false_alarm_rate: per window, between the smallest and the largest of the reference.
            baseline: of correlated traffic, for which the rate holds then; without it, for independent rows.

        Raises:
            InvalidInput: the rate is beyond those that were measured, or a layer has another number of channels.
        """
        reference, thresholds = self.reference, None
        if reference is not None:
            require_rate(reference, false_alarm_rate)
            thresholds = WindowThresholds(reference, false_alarm_rate, baseline)
        rows = count_rows(window)
        known = [name for name in self._expected if name in window]
        ordered = [*known, *(name for name in window if name not in self._expected)]
        window = {name: window[name] for name in ordered if window[name].count}
        enough = rows >= MIN_WINDOW_ROWS
        statistics = self._statistics(window, reference) if reference is not None and enough else {}
        layers = {
            name: self._layer(name, moments, statistics.get(name), thresholds) for name, moments in window.items()
        }
        classes = self._classes(window, class_counts, rows, thresholds)
        statistic = threshold = significant = None
        p_value = 1.0
        verdict: Verdict = "uncalibrated" if reference is None and enough else "not_enough_rows"
        if reference is not None and thresholds is not None and statistics:
            statistic = max(statistics.values())
            threshold = thresholds.of(OVERALL, reference.thresholds, rows)
            significant = statistic > threshold
            p_value = thresholds.p_value(statistic, rows)
            verdict = decide(layers, classes, significant=significant)
        kl = float(np.mean([layer.symmetric_kl for layer in layers.values()])) if layers else 0.0
        wasserstein = float(np.mean([layer.wasserstein for layer in layers.values()])) if layers else 0.0
        return Assessment(
            rows, verdict, statistic, threshold, significant, kl, wasserstein, layers, classes, p_value=p_value
        )

    def raised_by(self, baseline: Baseline, false_alarm_rate: float = 0.01) -> float:
        """The threshold over all layers for windows of a baseline, relative to that for independent rows.

        Args:
            baseline: a complete one.
            false_alarm_rate: of both.

        Raises:
            InvalidInput: there is no reference, or the rate is beyond those that were measured.
        """
        reference = self._require_reference()
        require_rate(reference, false_alarm_rate)
        raised, independent = (
            WindowThresholds(reference, false_alarm_rate, found).of(OVERALL, reference.thresholds, baseline.window_rows)
            for found in (baseline, None)
        )
        return raised / independent

    def channel_shifts(self, name: str, moments: WindowMoments) -> ChannelShifts:
        """How far each channel of a layer is from its reference, shape (C,).

        Raises:
            InvalidInput: the layer has another number of channels.
        """
        return self._expected_of(name, moments).channel_shifts(moments.row_mean, moments.row_square)

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
        reference = self._require_reference()
        relative = self.layer_scores(observed, false_alarm_rate)
        statistics = list(self._row_statistics(observed, reference).values())
        scores = np.max(statistics, axis=0) / threshold_at(reference, reference.thresholds, 1, false_alarm_rate)
        position = {name: index for index, name in enumerate(observed)}
        deviant = np.array([position[name] for name in relative])[np.argmax(list(relative.values()), axis=0)]
        return scores, deviant

    def layer_scores(self, observed: Mapping[str, RowStatistics], false_alarm_rate: float = 0.01) -> dict[str, Float64]:
        """How unusual each row is in each layer: its statistic there over the layer's own threshold, shape (rows,).

        Args:
            observed: by layer. Layers without a reference are left out.
            false_alarm_rate: share of undisturbed rows that score more than 1 in a layer.

        Raises:
            InvalidInput: there is no reference, or the rate is beyond those that were measured.
        """
        reference = self._require_reference()
        require_rate(reference, false_alarm_rate)
        return {
            name: statistic / threshold_at(reference, reference.layers[name].thresholds, 1, false_alarm_rate)
            for name, statistic in self._row_statistics(observed, reference).items()
        }

    def _require_reference(self) -> DriftReference:
        if self.reference is None:
            raise InvalidInput("the model has no held-out rows to compare with")
        return self.reference

    def _row_statistics(self, observed: Mapping[str, RowStatistics], reference: DriftReference) -> dict[str, Float64]:
        error = standard_error(1, reference.rows)
        statistics = {}
        for name, rows in observed.items():
            if (expected := self._expected.get(name)) is not None:
                usual = usual_at(reference, reference.layers[name], 1)
                statistic = expected.statistic(rows.mean, rows.mean_square, error, usual)
                # An input that is not finite, or too large to square, is off by as much as can be.
                statistics[name] = np.nan_to_num(statistic, nan=_OFF_THE_SCALE).clip(max=_OFF_THE_SCALE)
        return statistics

    def _statistics(self, window: Mapping[str, WindowMoments], reference: DriftReference) -> dict[str, float]:
        """Of the layers that have a reference."""
        statistics = {}
        for name, moments in window.items():
            if name in self._expected:
                expected = self._expected_of(name, moments)
                error = standard_error(moments.count, reference.rows)
                usual = usual_at(reference, reference.layers[name], moments.count)
                statistics[name] = float(expected.statistic(moments.row_mean, moments.row_square, error, usual))
        return statistics

    def _expected_of(self, name: str, moments: WindowMoments) -> ExpectedMoments:
        expected = self._expected.get(name)
        if expected is None:
            return ExpectedMoments.standard(len(moments.mean))
        if moments.mean.shape != expected.mean.shape:
            raise InvalidInput(f"got {len(moments.mean)} channels, the reference has {len(expected.mean)}", name)
        return expected

    def _layer(
        self, name: str, moments: WindowMoments, statistic: float | None, thresholds: WindowThresholds | None
    ) -> LayerShift:
        expected = self._expected_of(name, moments)
        kl = expected.symmetric_kl(moments.row_mean, moments.row_square)
        distances = expected.wasserstein_squared(moments.row_mean, moments.row_square)
        worst = np.argsort(-kl, kind="stable")[:WORST_CHANNELS]
        threshold, kl_noise, distance_noise = None, 0.0, 0.0
        if (reference := self.reference) is not None and (layer := reference.layers.get(name)) is not None:
            kl_noise = noise_at(reference, layer.kl_noise, moments.count)
            distance_noise = noise_at(reference, layer.wasserstein_noise, moments.count)
            if statistic is not None and thresholds is not None:
                threshold = thresholds.of(layer_statistic(name), layer.thresholds, moments.count)
        return LayerShift(
            statistic,
            threshold,
            None if statistic is None or threshold is None else statistic > threshold,
            max(float(kl.mean()) - kl_noise, 0.0),
            max(float(distances.mean()) - distance_noise, 0.0) ** 0.5,
            tuple(
                ChannelShift(int(c), float(moments.mean[c]), float(moments.variance[c]), float(kl[c])) for c in worst
            ),
        )

    def _classes(
        self,
        window: Mapping[str, WindowMoments],
        class_counts: ArrayLike | None,
        rows: int,
        thresholds: WindowThresholds | None,
    ) -> ClassShift | None:
        reference = self.reference
        if thresholds is None or reference is None or reference.classes is None or class_counts is None:
            return None
        counts = np.asarray(class_counts, dtype=np.float64)
        known = np.array(reference.classes.counts, dtype=np.float64)
        if counts.shape != known.shape:
            return None
        if rows < MIN_WINDOW_ROWS or not counts.any():
            return ClassShift(None, None, None, None, None)
        statistic = float(g_statistic(counts, known))
        threshold = thresholds.of(CLASSES, reference.classes.thresholds, int(counts.sum()))
        distance = float(np.abs(counts / counts.sum() - known / known.sum()).sum() / 2)
        given = {name: moments for name, moments in window.items() if name in self._given_classes}
        explains_shift: bool | None = None
        unexplained: float | None = None
        if given and (counts > 0).any(where=known == 0):
            explains_shift = False  # a class that no held-out row was predicted to be
        elif given:
            limit = thresholds.of(GIVEN_CLASSES, reference.classes.given_thresholds, rows)
            unexplained = self._off_given_classes(given, counts / counts.sum()) / limit
            explains_shift = unexplained <= 1
        unusual = unusual_classes(counts, known, thresholds.rate)
        return ClassShift(statistic, threshold, statistic > threshold, distance, explains_shift, unexplained, unusual)

    def _off_given_classes(self, window: Mapping[str, WindowMoments], shares: Float64) -> float:
        """How far the window's statistics are from those of held-out rows of the same classes, over all layers."""
        return max(
            float(self._given_classes[name].statistic(moments.row_mean, moments.row_square, shares, moments.count))
            for name, moments in window.items()
        )
