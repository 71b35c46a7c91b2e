"""Drift alarms as their subscribers get them."""

from collections.abc import Callable
from datetime import datetime

import structlog
from pydantic import BaseModel, Field

from models.accuracy.agreement import CurrentAccuracy
from models.drift.assessment import Verdict
from service.catalog.served_version import ServedVersion
from service.host.clock import to_date
from service.watching.alarm_report import AlarmReport
from service.watching.judged_window import JudgedWindow

log = structlog.get_logger()


class Alarm(BaseModel):
    """An alarm of a version that begins or ends, and the window of rows with which it does."""

    model: str
    version: str
    alarm: bool = Field(description="true where it begins, false where it ends")
    verdict: Verdict
    message: str = Field(description="the verdict in words")
    time: datetime = Field(description="when the window was full")
    rows: int = Field(description="in the window")
    statistic: float | None
    threshold: float | None
    symmetric_kl: float = Field(description="mean over layers")
    wasserstein: float = Field(description="mean over layers, in standard deviations")
    estimated_accuracy: CurrentAccuracy | None = Field(None, description="on the rows; null where it is not known")
    layers: dict[str, float] = Field(description="symmetric KL divergence by layer")
    course: AlarmReport = Field(description="the alarm so far: since when, its peak, its end")

    @classmethod
    def of(cls, served: ServedVersion, judged: JudgedWindow) -> "Alarm":
        """Returns the alarm that a judged window begins or ends."""
        assessment, course = judged.assessment, judged.alarms.courses[-1]
        return cls(
            model=served.model,
            version=str(served.version),
            alarm=course.ended is None,
            verdict=assessment.verdict,
            message=assessment.message,
            time=to_date(judged.at),
            rows=assessment.rows,
            statistic=assessment.statistic,
            threshold=assessment.threshold,
            symmetric_kl=assessment.symmetric_kl,
            wasserstein=assessment.wasserstein,
            estimated_accuracy=assessment.accuracy,
            layers={name: layer.symmetric_kl for name, layer in assessment.layers.items()},
            course=AlarmReport.of(course, served.manifest),
        )


class Alarms:
    """Logs alarms and passes them to subscribers.

    Args:
        subscribers: called with each alarm, from any thread; they must not block.
    """

    def __init__(self, *subscribers: Callable[[Alarm], None]) -> None:
        self._subscribers = subscribers

    def notify_subscribers(self, served: ServedVersion, judged: JudgedWindow) -> None:
        """Publish the alarm that a judged window begins or ends."""
        alarm = Alarm.of(served, judged)
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
