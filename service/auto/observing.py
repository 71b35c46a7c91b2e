"""What `auto` mode observes of a model: the last windows of its versions, its job, and its shadow or canary."""

import asyncio
from collections.abc import Callable, Iterable, Mapping

from models.accuracy.agreement import CurrentAccuracy
from models.drift.version_fit import evidence_of_end
from models.manifest import AccuracyEstimate
from models.recalibration.gates import is_moving
from models.recalibration.observed import Observed, ObservedJob, ObservedTrial, ObservedWindow
from models.repository.auto import Auto
from service.catalog.catalog import Catalog
from service.catalog.served_version import ServedVersion
from service.recalibrating.job import Job, JobNotFound
from service.recalibrating.jobs import Recalibrations
from service.telemetry.statistics import Gather
from service.watching.monitor import DriftMonitor
from service.watching.version_monitor import VersionMonitor
from service.watching.windows import Window

_HOUR_SECONDS, _MINUTE_SECONDS = 3600.0, 60.0

CHANCE = 0.001
"""A window whose p-value is not above this has moved: windows of rows that have not are so once in a thousand times."""


class AutoObserver:
    """Observes models for `auto` mode.

    Args:
        catalog: the loaded versions.
        monitor: judges their rows.
        recalibrations: carry out the jobs.
        gather: returns the statistics of the service.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        catalog: Catalog,
        monitor: DriftMonitor,
        recalibrations: Recalibrations,
        gather: Gather,
        clock: Callable[[], float],
    ) -> None:
        self._catalog = catalog
        self._monitor = monitor
        self._recalibrations = recalibrations
        self._gather = gather
        self._clock = clock
        self._began: dict[str, tuple[tuple[str, float], ObservedTrial]] = {}

    async def observe(self, model: str, auto: Auto) -> Observed:
        """What is known of a model now.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        loaded = {served.version: served for served in self._catalog.served() if served.model == model}
        windows = {
            version: window
            for version, served in loaded.items()
            if (window := observe_window(self._monitor.of(served))) is not None
        }
        job = await self._job(model, auto.job) if auto.phase == "collecting" and auto.job else None
        trial, rows_for_base = await self._trial(model, auto), await self._rows_for_base(auto, loaded)
        monitors = [self._monitor.of(served) for served in loaded.values()]
        rows_per_hour = await asyncio.to_thread(observe_rows_per_hour, monitors, self._clock())
        return Observed(self._clock(), windows, job, trial, rows_for_base, rows_per_hour)

    async def _rows_for_base(self, auto: Auto, loaded: Mapping[int, ServedVersion]) -> dict[int, float]:
        """How much the latest rows of each version that answers or is tried fit the base better, in rows."""
        found = {}
        for version, since in auto.compared_since.items():
            if version in loaded:
                monitor = self._monitor.of(loaded[version])
                # In a thread, since what all replicas have observed may have to be read from the store.
                found[version] = await asyncio.to_thread(observe_rows_for_base, monitor, since)
        return found

    async def _job(self, model: str, job_id: str) -> ObservedJob | None:
        await self._recalibrations.refresh()
        try:
            job = self._recalibrations.get(model, job_id)
        except JobNotFound:
            return None
        observed = observe_job(job)
        if observed.published is not None and observed.published not in self._catalog.versions(model):
            return ObservedJob(is_finished=True, reason=f"version {observed.published} could not be loaded")
        return observed

    async def _trial(self, model: str, auto: Auto) -> ObservedTrial:
        """What the shadow or the canary has done since this replica first saw that it began."""
        if auto.candidate is None:
            self._began.pop(model, None)
            return ObservedTrial()
        statistics = await self._gather()
        if auto.phase == "shadow":
            compared = statistics.comparisons[model, auto.served, auto.candidate]
            total = ObservedTrial(compared.rows, compared.failed_runs)
        else:
            answered = statistics.of(model, auto.candidate)
            total = ObservedTrial(answered.rows, answered.failed_runs)
        phase, began = self._began.get(model, (("", 0.0), total))
        if phase != (auto.phase, auto.since) or total.rows < began.rows:  # or another replica counts, or a new process
            began = total
        self._began[model] = (auto.phase, auto.since), began
        return ObservedTrial(total.rows - began.rows, max(total.errors - began.errors, 0))


def observe_window(monitor: VersionMonitor) -> ObservedWindow | None:
    """The last judged window of a version; None before the first.

    Where replicas share, when its first row came is not known: it counts as begun when it was full.
    """
    judged = monitor.judged
    if judged is None:
        return None
    found, alarm = judged.assessment, judged.alarms.open
    return ObservedWindow(
        since=judged.bucket.since,
        at=judged.at,
        is_alarm=found.alarm and alarm is not None,
        alarm_since=0.0 if alarm is None else alarm.began,
        has_moved=found.alarm or found.p_value <= CHANCE,
        accuracy=None if found.accuracy is None else _to_estimate(found.accuracy),
        twin_gain=found.twin_gain,
    )


def observe_rows_for_base(monitor: VersionMonitor, since: float) -> float:
    """How much the latest rows of a version fit the one it was made from better, in rows; 0 where there are none.

    By the seconds of the last minute, so that it is soon known where there are many, and by the minutes of the last
    hour, so that it is known where there are few.

    Args:
        monitor: of the version.
        since: earlier rows do not count, in seconds since 1970.
    """
    windows: tuple[Window, ...] = ("1m", "1h")
    return max(
        evidence_of_end(bucket.fit for _, bucket in monitor.history(window) if bucket.since >= since)
        for window in windows
    )


def observe_rows_per_hour(monitors: Iterable[VersionMonitor], now: float) -> float:
    """Rows that are observed in an hour, by the last hour, or by the time since the first of them.

    Args:
        monitors: of the versions of a model.
        now: seconds since 1970.
    """
    buckets = [bucket for monitor in monitors for _, bucket in monitor.history("1h")]
    first = min((bucket.since for bucket in buckets), default=now)
    seconds = min(max(now - first, _MINUTE_SECONDS), _HOUR_SECONDS)
    return sum(bucket.rows for bucket in buckets) * _HOUR_SECONDS / seconds


def observe_job(job: Job) -> ObservedJob:
    """What a job has found so far."""
    return ObservedJob(
        is_finished=job.is_finished,
        published=job.published,
        reason=job.reason or "",
        was_moving=is_moving(job.gates),
        base=job.accuracy_before,
        served=job.accuracy_served,
        candidate=job.accuracy_after,
        gain=job.accuracy_gain,
    )


def _to_estimate(found: CurrentAccuracy) -> AccuracyEstimate:
    return AccuracyEstimate(accuracy=found.value, low=found.low, high=found.high)
