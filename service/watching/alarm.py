"""An alarm that begins or ends, as those who want to know of it are told."""

from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from pydantic import BaseModel, Field

from models.drift.assessment import Verdict
from service.catalog.served_version import ServedVersion
from service.watching.monitor import AlarmCallback
from service.watching.version_monitor import JudgedWindow

log = structlog.get_logger()


class Alarm(BaseModel):
    """What a window of rows was judged to be, where that changes the alarm of its version."""

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
    layers: dict[str, float] = Field(description="symmetric KL divergence by layer")

    @classmethod
    def of(cls, served: ServedVersion, judged: JudgedWindow) -> "Alarm":
        """From the window that was judged."""
        found = judged.assessment
        return cls(
            model=served.model,
            version=str(served.version),
            alarm=found.alarm,
            verdict=found.verdict,
            message=found.message,
            time=datetime.fromtimestamp(judged.at, UTC),
            rows=found.rows,
            statistic=found.statistic,
            threshold=found.threshold,
            symmetric_kl=found.symmetric_kl,
            wasserstein=found.wasserstein,
            layers={name: layer.symmetric_kl for name, layer in found.layers.items()},
        )


def teller(*listeners: Callable[[Alarm], None]) -> AlarmCallback:
    """Tells the log and these of every alarm. They are called from any thread, and keep nobody waiting."""

    def tell(served: ServedVersion, judged: JudgedWindow) -> None:
        alarm = Alarm.of(served, judged)
        write = log.warning if alarm.alarm else log.info
        write("drift_alarm" if alarm.alarm else "drift_alarm_over", **alarm.model_dump(mode="json", exclude={"alarm"}))
        for listener in listeners:
            listener(alarm)

    return tell
