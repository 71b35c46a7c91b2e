"""Records and judges the observations of one version."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256

from models.accuracy.labelled import Labelled
from models.drift.alarm_course import NO_ALARMS, AlarmCourse, AlarmState
from models.drift.assessment import Assessment
from models.drift.baseline import Baseline
from models.errors import InvalidInput
from models.manifest import Manifest
from service.telemetry.effort import Effort
from service.watching.assessor import Assessor
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
        false_alarm_rate: of a window; the nearest measured rate is used.
        clock: seconds since 1970, never going back.
        share: from the identity of the version, what all replicas have observed of it, if there are others: its rows
            are then judged by one of them (`service.watching.judge`), and the windows are those of all.
        days_between_false_alarms: of which one has a false alarm on average; None for the rate of a window.

    Attributes:
        window_rows: rows of a judged window.
        effort: what observing has cost this replica.
        assessor: judges the rows.
        identity: digest of the manifest as it is stored.
        manifest: of the version.
    """

    def __init__(
        self,
        manifest: Manifest,
        window_rows: int,
        false_alarm_rate: float,
        clock: Callable[[], float],
        share: Callable[[str], SharedVersion] | None = None,
        days_between_false_alarms: float | None = None,
    ) -> None:
        # Without what the file does not state: two releases that share a store, or an upgrade, may know other fields.
        self.identity = sha256(manifest.model_dump_json(exclude_unset=True).encode()).hexdigest()
        self.manifest = manifest
        self.effort = Effort()
        self.assessor = Assessor(manifest, false_alarm_rate, days_between_false_alarms)
        self.window_rows = window_rows
        self._clock = clock
        self._windows = TimeWindows()
        self._filling: Bucket | None = None
        self._judged: JudgedWindow | None = None
        self._alarms = NO_ALARMS
        self._unsaved = False
        self._lock = threading.Lock()
        self._shared = None if share is None else share(self.identity)
        self._unjudged = UnjudgedRows(window_rows)

    @property
    def baseline(self) -> Baseline | None:
        """The spread of good traffic, which thresholds follow from once it is complete; None where none was begun.

        Where replicas share, `SharedDrift.set_baseline` sets it in all of them.
        """
        return self.assessor.baseline

    @baseline.setter
    def baseline(self, baseline: Baseline | None) -> None:
        with self._lock:
            if baseline != self.assessor.baseline:
                self._set_baseline(baseline)

    @property
    def judged(self) -> JudgedWindow | None:
        """The last full window of rows. Where replicas share, without the rows: `last` reads them."""
        return self._judged

    @property
    def alarms(self) -> AlarmState:
        """The alarms so far, as the last full window has left them."""
        return self._alarms

    def alarms_in(self, window: Window) -> Sequence[AlarmCourse]:
        """Returns the alarms that were open in a window of time that ends now, oldest first."""
        horizon = HORIZONS[window]
        return self._alarms.since(self._clock() - horizon.seconds * horizon.buckets if horizon.seconds else 0.0)

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

    def record(self, observation: Observation) -> JudgedWindow | None:
        """Add an observation. Returns the window that it fills if an alarm begins or ends with it."""
        with self._lock:
            self.effort.add(Effort(observation.batches, observation.rows, observation.skipped, observation.seconds))
            now = self._clock()
            added = Bucket(now, observation.layers, observation.classes, observation.agreement, fit=observation.fit)
            self._windows.add(added)
            self._unsaved = True
            if not added.rows:
                return None
            if self._shared is not None:
                self._unjudged.add(added)
                return None
            self._filling = added if self._filling is None else Bucket.merged([self._filling, added])
            if self._filling.rows < self.window_rows:
                return None
            full, self._filling = self._filling, None
            was_open = self._alarms.open is not None
            self._judged = self.assessor.judge(full, now, self._alarms)
            self._alarms = self._judged.alarms
            self._set_baseline(self.assessor.extend(self.assessor.baseline, full))
            return None if was_open == (self._alarms.open is not None) else self._judged

    def end_alarm(self, reason: str) -> JudgedWindow | None:
        """End the open alarm without a window. Returns the last window, with the alarms now; None if none was open."""
        with self._lock:
            if self._alarms.open is None or self._judged is None:
                return None
            self._alarms = self._alarms.end(self._clock(), reason)
            self._judged = replace(self._judged, alarms=self._alarms)
            self._unsaved = True
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
                self._alarms,
                self.assessor.baseline,
            )

    def restore_unsaved(self) -> None:
        """Note that what `take_unsaved` has returned could not be saved."""
        with self._lock:
            self._unsaved = True

    def restore(self, stored: StoredObservations) -> None:
        """Continue from stored observations.

        Raises:
            InvalidInput: they are of another version.
        """
        if stored.identity != self.identity:
            raise InvalidInput("they are of another version that had this number")
        self.baseline = stored.baseline
        with self._lock:
            self._windows = TimeWindows(stored.windows)
            self._filling = stored.filling
            self._alarms = stored.alarms
            if stored.judged is not None:
                found = self.assessor.assess(stored.judged)
                self._judged = JudgedWindow(stored.judged, stored.judged_at, found, stored.alarms)

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

    def apply_judgement(self, at: float, assessment: Assessment, alarms: AlarmState) -> None:
        """Show what was found of the last window of rows, whichever replica has judged it."""
        with self._lock:
            self._judged = JudgedWindow(Bucket.empty(at), at, assessment, alarms)
            self._alarms = alarms

    def _select(self, window: Window, now: float) -> list[tuple[int, Bucket]]:
        if self._shared is not None:
            return self._shared.select(window, now)
        with self._lock:
            return self._windows.select(window, now)

    def _set_baseline(self, baseline: Baseline | None) -> None:
        self.assessor.baseline = baseline
        self._unsaved = True
