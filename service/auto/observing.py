"""What `auto` mode observes of a model: the last windows of its versions, its job, and its shadow or canary."""

from collections.abc import Callable

from models.accuracy.agreement import CurrentAccuracy
from models.manifest import AccuracyEstimate
from models.recalibration.gates import is_moving
from models.recalibration.observed import Observed, ObservedJob, ObservedTrial, ObservedWindow
from models.repository.auto import Auto
from service.catalog.catalog import Catalog
from service.recalibrating.job import Job, JobNotFound
from service.recalibrating.jobs import Recalibrations
from service.telemetry.statistics import Gather
from service.watching.monitor import DriftMonitor
from service.watching.version_monitor import VersionMonitor

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
        windows = {
            served.version: window
            for served in self._catalog.served()
            if served.model == model and (window := observe_window(self._monitor.of(served))) is not None
        }
        job = await self._job(model, auto.job) if auto.phase == "collecting" and auto.job else None
        return Observed(self._clock(), windows, job, await self._trial(model, auto))

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
    )


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
    )


def _to_estimate(found: CurrentAccuracy) -> AccuracyEstimate:
    return AccuracyEstimate(accuracy=found.value, low=found.low, high=found.high)
