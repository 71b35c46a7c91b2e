"""Schema of an alarm from its beginning to its end, in events, messages and responses."""

from collections.abc import Sequence
from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from models.accuracy.agreement import CurrentAccuracy
from models.drift.alarm_course import AlarmCourse, Peak
from models.manifest import Manifest
from service.host.clock import to_date


class PeakReport(BaseModel, defer_build=True):
    """The worst window of an alarm: the lowest estimated accuracy, or else the most significant shift."""

    time: datetime = Field(description="When the window was full.")
    significance: float = Field(description="The statistic over all layers, relative to its threshold.")
    symmetric_kl: float = Field(description="Mean over layers.")
    estimated_accuracy: CurrentAccuracy | None = Field(description="On the rows; null where it is not known.")

    @classmethod
    def of(cls, peak: Peak) -> Self:
        """The response's form of a peak."""
        return cls(
            time=to_date(peak.at),
            significance=peak.significance,
            symmetric_kl=peak.symmetric_kl,
            estimated_accuracy=peak.accuracy,
        )


class AlarmReport(BaseModel, defer_build=True):
    """An alarm of a version."""

    began: datetime = Field(description="When the window that opened it was full.")
    ended: datetime | None = Field(
        description="When the window that closed it was full, or when `end_reason` held; null while it is open."
    )
    end_reason: str = Field("", description="Why it ended where no window has closed it; empty otherwise.")
    windows: int = Field(description="Judged from the one to the other, both included.")
    peak: PeakReport
    first_layer: str | None = Field(
        description="The first layer of the network that was significant when the alarm opened; null if none was."
    )
    classes: list[str] = Field(
        description="Predicted classes that were significantly more or less frequent at the peak."
    )

    @classmethod
    def of(cls, course: AlarmCourse, manifest: Manifest) -> Self:
        """The response's form of an alarm of a version with this manifest."""
        labels: Sequence[str] = manifest.labels or ()
        return cls(
            began=to_date(course.began),
            ended=None if course.ended is None else to_date(course.ended),
            end_reason=course.end_reason,
            windows=course.windows,
            peak=PeakReport.of(course.peak),
            first_layer=course.first_layer,
            classes=[labels[number] if number < len(labels) else str(number) for number in course.classes],
        )
