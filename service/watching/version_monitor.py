"""Records and judges the observations of one version."""

import threading
from collections.abc import Callable
from hashlib import sha256
from weakref import WeakKeyDictionary

from models.accuracy.agreement import AgreementEstimator
from models.accuracy.labelled import Labelled
from models.drift.assessment import Assessment
from models.drift.baseline import SCORE_RATE, Baseline
from models.drift.detector import Detector
from models.drift.reference import ChannelShifts
from models.drift.thresholds import nearest_rate
from models.errors import InvalidInput
from models.manifest import Manifest
from models.moments.window import WindowMoments
from service.telemetry.effort import Effort
from service.watching.judged_window import JudgedWindow
from service.watching.observation import Observation
from service.watching.shared_version import SharedVersion
from service.watching.stored_observations import StoredObservations
from service.watching.unjudged_rows import UnjudgedRows
from service.watching.windows import HORIZONS, Bucket, TimeWindows, Window

_HOURS_PER_DAY = 24


class VersionMonitor:
    """The windows of one version: of time, and of rows, which are judged. Safe to use from several threads.

    Args:
        manifest: of the version.
        window_rows: rows of a judged window.
        false_alarm_rate: at which windows are judged; the nearest measured rate is used.
        clock: seconds since 1970, never going back.
        share: from the identity of the version, what all replicas have observed of it, if there are others: its rows
            are then judged by one of them (`service.watching.judge`), and the windows are those of all.

    Attributes:
        window_rows: rows of a judged window.
        effort: what observing has cost this replica.
        rate: the false-alarm rate at which windows are judged.
        identity: digest of the manifest as it is stored.
    """

    def __init__(
        self,
        manifest: Manifest,
        window_rows: int,
        false_alarm_rate: float,
        clock: Callable[[], float],
        share: Callable[[str], SharedVersion] | None = None,
    ) -> None:
        # Without what the file does not state: two releases that share a store, or an upgrade, may know other fields.
        self.identity = sha256(manifest.model_dump_json(exclude_unset=True).encode()).hexdigest()
        self.effort = Effort()
        self._estimator: AgreementEstimator | None = None
        self.rate = nearest_rate(manifest.drift, false_alarm_rate)
        self._detector = Detector(manifest.drift)
        self.window_rows = window_rows
        self._clock = clock
        self._windows = TimeWindows()
        self._filling: Bucket | None = None
        self._judged: JudgedWindow | None = None
        self._alarm_since: float | None = None
        self._baseline: Baseline | None = None
        self._assessments: WeakKeyDictionary[Bucket, Assessment] = WeakKeyDictionary()
        self._unsaved = False
        self._lock = threading.Lock()
        self._shared = None if share is None else share(self.identity)
        self._unjudged = UnjudgedRows(window_rows)

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
        """The spread of good traffic, which thresholds follow from once it is complete; None where none was asked for.

        Where replicas share, `SharedDrift.set_baseline` sets it in all of them.
        """
        return self._baseline

    @baseline.setter
    def baseline(self, baseline: Baseline | None) -> None:
        with self._lock:
            if baseline != self._baseline:
                self._set_baseline(baseline)

    @property
    def baseline_factor(self) -> float | None:
        """The threshold over all layers relative to that for independent rows; None without a complete baseline."""
        baseline = self._baseline
        if baseline is None or not baseline.is_complete:
            return None
        return self._detector.raised_by(baseline, self.rate)

    @property
    def judged(self) -> JudgedWindow | None:
        """The last full window of rows. Where replicas share, without the rows: `last` reads them."""
        return self._judged

    @property
    def alarm(self) -> bool:
        """Whether an alarm is open: from the judged window with which it begins to that with which it ends."""
        return self._judged is not None and self._judged.assessment.alarm

    @property
    def alarm_since(self) -> float | None:
        """When the open alarm has begun, in seconds since 1970; None if none is open."""
        return self._alarm_since

    @property
    def unjudged_rows(self) -> int:
        """The number of rows in the window that is not full yet."""
        if self._shared is not None:
            return self._shared.unjudged_rows()
        filling = self._filling
        return 0 if filling is None else filling.rows

    @property
    def service_effort(self) -> Effort:
        """What observing has cost all replicas."""
        return self.effort if self._shared is None else self._shared.effort()

    def last(self) -> Bucket:
        """Returns the rows of the last judged window."""
        if self._shared is not None:
            return self._shared.last()
        return Bucket.empty(self._clock()) if self._judged is None else self._judged.bucket

    @property
    def unsaved(self) -> bool:
        """Whether there are observations that `take_unsaved` has not returned yet."""
        return self._unsaved

    @property
    def windows_per_day(self) -> float:
        """The number of windows of rows that the traffic of the last hour would fill in a day."""
        return self.window("1h").rows / self.window_rows * _HOURS_PER_DAY

    def window(self, window: Window) -> Bucket:
        """Returns the rows observed in a window of time that ends now."""
        now = self._clock()
        selected = self._select(window, now)
        return Bucket.merged([bucket for _, bucket in selected]) if selected else Bucket.empty(now)

    def history(self, window: Window) -> list[tuple[float, Bucket]]:
        """Returns the buckets of a window of time, oldest first, each after its end in seconds since 1970."""
        selected = self._select(window, self._clock())
        return [((slot + 1) * HORIZONS[window].seconds, bucket) for slot, bucket in selected]

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

    def channel_shifts(self, layer: str, moments: WindowMoments) -> ChannelShifts:
        """How far each channel of a layer is from its reference."""
        return self._detector.channel_shifts(layer, moments)

    def record(self, observation: Observation) -> JudgedWindow | None:
        """Add an observation. Returns the window that it fills if an alarm begins or ends with it."""
        with self._lock:
            self.effort.add(Effort(observation.batches, observation.rows, observation.skipped, observation.seconds))
            now = self._clock()
            added = Bucket(now, observation.layers, observation.classes, observation.agreement)
            self._windows.add(added)
            self._unsaved = True
            if self._shared is not None:
                self._unjudged.add(added)
                return None
            self._filling = added if self._filling is None else Bucket.merged([self._filling, added])
            if self._filling.rows < self.window_rows:
                return None
            full, self._filling = self._filling, None
            was_alarm = self.alarm
            self._judged = self.judge(full, now)
            self._set_baseline(self.extend(self._baseline, full))
            if self.alarm == was_alarm:
                return None
            self._alarm_since = now if self.alarm else None
            return self._judged

    def record_labels(self, labelled: Labelled, at: float) -> None:
        """Add labels of rows that were predicted at a time, in seconds since 1970."""
        with self._lock:
            self._windows.add_labels(labelled, at, self._clock())
            self._unsaved = True

    def take_unsaved(self) -> StoredObservations | None:
        """Returns what a file should hold; None if nothing was observed since the last call."""
        with self._lock:
            if not self._unsaved:
                return None
            self._unsaved = False
            judged = self._judged
            return StoredObservations(
                self.identity,
                list(self._windows.items()),
                self._filling,
                None if judged is None else judged.bucket,
                0.0 if judged is None else judged.at,
                self._alarm_since,
                self._baseline,
            )

    def restore(self, stored: StoredObservations) -> None:
        """Continue from stored observations.

        Raises:
            InvalidInput: they are of another version.
        """
        if stored.identity != self.identity:
            raise InvalidInput("they are of another version that had this number")
        self.baseline = stored.baseline
        judged = None if stored.judged is None else self.judge(stored.judged, stored.judged_at)
        with self._lock:
            self._windows = TimeWindows(stored.windows)
            self._filling = stored.filling
            self._judged = judged
            # Thresholds may have changed with the release or the settings, and the alarm with them.
            self._alarm_since = (stored.alarm_since or stored.judged_at) if self.alarm else None

    def own_buckets(self) -> list[tuple[Window, int, Bucket]]:
        """Returns window, slot and bucket of what this replica has observed."""
        with self._lock:
            return list(self._windows.items())

    def take_unjudged(self) -> dict[int, Bucket]:
        """Returns the rows that were not handed to the judge of all replicas yet, in numbered parts."""
        with self._lock:
            return self._unjudged.take()

    def confirm_unjudged(self, number: int) -> None:
        """Note that a part was handed over."""
        with self._lock:
            self._unjudged.confirm(number)

    def apply_judgement(self, at: float, assessment: Assessment, alarm_since: float | None) -> None:
        """Show what was found of the last window of rows, whichever replica has judged it."""
        with self._lock:
            self._judged = JudgedWindow(Bucket.empty(at), at, assessment)
            self._alarm_since = alarm_since if assessment.alarm else None

    def _select(self, window: Window, now: float) -> list[tuple[int, Bucket]]:
        if self._shared is not None:
            return self._shared.select(window, now)
        with self._lock:
            return self._windows.select(window, now)

    def judge(self, full: Bucket, at: float) -> JudgedWindow:
        """Returns a window of rows with its assessment."""
        return JudgedWindow(full, at, self._assess(full, self.rate))

    def extend(self, baseline: Baseline | None, full: Bucket) -> Baseline | None:
        """Returns a baseline with one more window of rows, if it is not complete."""
        if baseline is None or baseline.is_complete:
            return baseline
        return baseline.add(self._detector.assess(full.layers, full.classes, SCORE_RATE))

    def _set_baseline(self, baseline: Baseline | None) -> None:
        if baseline is None or self._baseline is None or baseline.is_complete != self._baseline.is_complete:
            self._assessments.clear()
        self._baseline = baseline
        self._unsaved = True

    def _assess(self, bucket: Bucket, rate: float) -> Assessment:
        found = self._detector.assess(bucket.layers, bucket.classes, rate, self._baseline)
        if self._estimator is None:
            return found
        accuracy = self._estimator.current(bucket.agreement, is_label_shift=found.is_explained_by_classes)
        return found.with_accuracy(accuracy)
