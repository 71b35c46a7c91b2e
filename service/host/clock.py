"""Time that passes evenly while the clock of the system is set forward or back.

Durations are measured on `time.monotonic`. What has to be ordered by time and is shown with a date as well uses
`steady`, and `to_date` for the date.
"""

from datetime import UTC, datetime
from time import monotonic, time

_AT_START = time() - monotonic()


def steady() -> float:
    """Returns seconds since 1970 by the clock as it was set when the process started."""
    return monotonic() + _AT_START


def to_date(seconds: float) -> datetime:
    """Returns the date of a time of `steady` by the clock as it is set now, to the second."""
    return datetime.fromtimestamp(seconds + round(time() - steady()), UTC)
