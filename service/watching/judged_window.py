"""A window of rows that was judged."""

from dataclasses import dataclass

from models.drift.assessment import Assessment
from service.watching.windows import Bucket


@dataclass(frozen=True)
class JudgedWindow:
    """A full window of rows and its assessment.

    Attributes:
        bucket: the rows.
        at: when the window was full, in seconds since 1970.
        assessment: of the window.
    """

    bucket: Bucket
    at: float
    assessment: Assessment
