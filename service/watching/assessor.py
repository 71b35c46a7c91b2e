"""Assesses the rows of one version: by its reference, its baseline and the estimate of its accuracy."""

import threading
from weakref import WeakKeyDictionary

from models.accuracy.agreement_estimator import AgreementEstimator
from models.drift.alarm_course import AlarmState
from models.drift.alarm_rule import AlarmRule
from models.drift.assessment import Assessment
from models.drift.baseline import SCORE_RATE, Baseline
from models.drift.detector import Detector
from models.drift.reference import ChannelShifts
from models.drift.thresholds import nearest_rate
from models.manifest import Manifest
from models.moments.window import WindowMoments
from service.watching.judged_window import JudgedWindow
from service.watching.windows import Bucket


class Assessor:
    """Judges rows, and says when alarms open and close. Safe to use from several threads.

    Args:
        manifest: of the version.
        false_alarm_rate: of a window; the nearest measured rate is used.
        days_between_false_alarms: see `models.drift.alarm_rule`; None opens an alarm with each significant and large
            window.

    Attributes:
        rate: the false-alarm rate of a window.
        rule: when alarms open and close.
    """

    def __init__(self, manifest: Manifest, false_alarm_rate: float, days_between_false_alarms: float | None) -> None:
        self.rate = nearest_rate(manifest.drift, false_alarm_rate)
        self.rule = AlarmRule.at(manifest.drift, self.rate, days_between_false_alarms)
        self._detector = Detector(manifest.drift)
        self._estimator: AgreementEstimator | None = None
        self._baseline: Baseline | None = None
        self._assessments: WeakKeyDictionary[Bucket, Assessment] = WeakKeyDictionary()
        self._lock = threading.Lock()

    @property
    def estimator(self) -> AgreementEstimator | None:
        """Estimates the accuracy; None where none was made yet."""
        return self._estimator

    @estimator.setter
    def estimator(self, estimator: AgreementEstimator) -> None:
        with self._lock:
            self._estimator = estimator
            self._assessments.clear()

    @property
    def baseline(self) -> Baseline | None:
        """The spread of good traffic, which thresholds follow from once it is complete; None where none was begun."""
        return self._baseline

    @baseline.setter
    def baseline(self, baseline: Baseline | None) -> None:
        with self._lock:
            if baseline is None or self._baseline is None or baseline.is_complete != self._baseline.is_complete:
                self._assessments.clear()
            self._baseline = baseline

    @property
    def baseline_factor(self) -> float | None:
        """The threshold over all layers relative to that for independent rows; None without a complete baseline."""
        baseline = self._baseline
        if baseline is None or not baseline.is_complete:
            return None
        return self._detector.raised_by(baseline, self.rate)

    def assess(self, bucket: Bucket, rate: float | None = None) -> Assessment:
        """Assess rows of this version.

        Args:
            bucket: the rows.
            rate: of false alarms; `self.rate` if absent.

        Raises:
            InvalidInput: the rate is outside of the measured ones.
        """
        if rate is not None:
            return self._assess(bucket, rate)
        with self._lock:
            known = self._assessments.get(bucket)
        if known is None:  # of a history that is asked for again and again, only the last bucket changes
            known = self._assess(bucket, self.rate)
            with self._lock:
                self._assessments[bucket] = known
        return known

    def judge(self, full: Bucket, at: float, before: AlarmState) -> JudgedWindow:
        """Judge a full window of rows.

        Args:
            full: the rows.
            at: when the window was full, in seconds since 1970.
            before: the alarms before it.
        """
        found, baseline = self._assess(full, self.rate), self._baseline
        block_windows = baseline.block_windows if baseline is not None and baseline.is_complete else 1
        return JudgedWindow(full, at, found, self.rule.next(before, found, full.since, at, block_windows))

    def extend(self, baseline: Baseline | None, full: Bucket) -> Baseline | None:
        """Returns a baseline with one more window of rows, if it is not complete."""
        if baseline is None or baseline.is_complete:
            return baseline
        return baseline.add(self._detector.assess(full.layers, full.classes, SCORE_RATE))

    def channel_shifts(self, layer: str, moments: WindowMoments) -> ChannelShifts:
        """How far each channel of a layer is from its reference."""
        return self._detector.channel_shifts(layer, moments)

    def _assess(self, bucket: Bucket, rate: float) -> Assessment:
        found = self._detector.assess(bucket.layers, bucket.classes, rate, self._baseline)
        if self._estimator is None:
            return found
        of_classes = found.is_explained_by_classes
        return found.with_accuracy(
            self._estimator.current(bucket.agreement, is_label_shift=of_classes),
            self._estimator.twin_gain(bucket.agreement, is_label_shift=of_classes),
        )
