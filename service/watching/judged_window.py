"""A window of rows that was judged."""

from dataclasses import dataclass

from models.drift.alarm_course import AlarmState
from models.drift.assessment import Assessment
from service.watching.windows import Bucket


@dataclass(frozen=True)
class JudgedWindow:
    """A full window of rows and its assessment.

    Attributes:
        bucket: the rows.
        at: when the window was full, in seconds since 1970.
        assessment: of the window.
        alarms: of the version after it.
    """

    bucket: Bucket
    at: float
    assessment: Assessment
    alarms: AlarmState
