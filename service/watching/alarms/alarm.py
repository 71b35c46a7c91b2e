"""Drift alarms as their subscribers get them."""

from collections.abc import Callable
from datetime import datetime

import structlog
from pydantic import BaseModel, Field

from models.accuracy.agreement import CurrentAccuracy
from models.drift.assessment import Verdict
from models.manifest import Manifest
from service.host.clock import to_date
from service.watching.alarms.alarm_report import AlarmReport
from service.watching.judged_window import JudgedWindow

log = structlog.get_logger()

UNLOADED = "The version answers no more: it is not loaded."
UNUSED = "The version answers no more: it has no role, and no rows have come for an hour."
"""Why an alarm ends without a window."""
UNUSED_SECONDS = 3600.0
"""Without rows, after which the alarm of a version without a role ends."""


class Alarm(BaseModel, defer_build=True):
    """An alarm of a version that begins or ends, and the window of rows with which it does, or else the last one."""

    model: str
    version: str
    alarm: bool = Field(description="true where it begins, false where it ends")
    verdict: Verdict
    message: str = Field(description="the verdict in words, or why the alarm ended without a window")
    time: datetime = Field(description="when it begins or ends")
    rows: int = Field(description="in the window")
    statistic: float | None
    threshold: float | None
    symmetric_kl: float = Field(description="mean over layers")
    wasserstein: float = Field(description="mean over layers, in standard deviations")
    estimated_accuracy: CurrentAccuracy | None = Field(None, description="on the rows; null where it is not known")
    layers: dict[str, float] = Field(description="symmetric KL divergence by layer")
    course: AlarmReport = Field(description="the alarm so far: since when, its peak, its end")

    @classmethod
    def of(cls, model: str, version: int, manifest: Manifest, judged: JudgedWindow) -> "Alarm":
        """Returns the last alarm of a version, which begins or ends.

        Args:
            model, version, manifest: name, number and manifest of the version.
            judged: the last window, and the alarms after it.
        """
        assessment, course = judged.assessment, judged.alarms.courses[-1]
        return cls(
            model=model,
            version=str(version),
            alarm=course.ended is None,
            verdict=assessment.verdict,
            message=course.end_reason or assessment.message,
            time=to_date(judged.at if course.ended is None else course.ended),
            rows=assessment.rows,
            statistic=assessment.statistic,
            threshold=assessment.threshold,
            symmetric_kl=assessment.symmetric_kl,
            wasserstein=assessment.wasserstein,
            estimated_accuracy=assessment.accuracy,
            layers={name: layer.symmetric_kl for name, layer in assessment.layers.items()},
            course=AlarmReport.of(course, manifest),
        )


class Alarms:
    """Logs alarms and passes them to subscribers.

    Args:
        subscribers: called with each alarm, from any thread; they must not block.
    """

    def __init__(self, *subscribers: Callable[[Alarm], None]) -> None:
        self._subscribers = subscribers

    def notify_subscribers(self, alarm: Alarm) -> None:
        """Publish an alarm that begins or ends."""
        log_alarm(alarm)
        for subscriber in self._subscribers:
            subscriber(alarm)


def log_alarm(alarm: Alarm) -> None:
    """Log an alarm that begins or ends."""
    fields = alarm.model_dump(mode="json", exclude={"alarm"})
    if alarm.alarm:
        log.warning("drift_alarm_started", **fields)
    else:
        log.info("drift_alarm_ended", **fields)
