"""Schema of a baseline: how far it is, and what follows from it."""

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, Field

from service.host.clock import to_date
from service.watching.version_monitor import VersionMonitor


class BaselineReport(BaseModel):
    """The spread of a version's good traffic, from which its thresholds follow."""

    state: Literal["none", "learning", "complete"] = Field(
        description="`none`: thresholds hold for independent rows. `learning`: they do until the baseline is complete. "
        "`complete`: they hold for traffic that is correlated like that of the baseline."
    )
    windows: int | None = Field(None, description="That it is learnt from; null without a baseline.")
    learned: int = Field(0, description="Windows so far.")
    window_rows: int | None = Field(None, description="Rows of each.")
    since: datetime | None = Field(None, description="When it was begun.")
    significant_before: float | None = Field(
        None,
        description="Share of its windows that are significant at 0.01 by the thresholds for independent rows: 0.01 if "
        "rows are independent and like the held-out rows.",
    )
    factor: float | None = Field(
        None,
        description="The threshold over all layers, for a window of `window_rows` rows, relative to that for "
        "independent rows; null until it is complete.",
    )
    independent_windows: float | None = Field(
        None,
        description="As how many independent windows they count, since neighbours are alike; null below 30 windows. A "
        "rate by days (`days_between_false_alarms`) takes about 300.",
    )
    smallest_rate: float | None = Field(
        None,
        description="The smallest false-alarm rate that it supports: 1 / (`independent_windows` + 1). At a smaller "
        "one, what exceeds all of its windows is significant, which may be more than the rate says.",
    )
    windows_needed: int | None = Field(
        None,
        description="Windows of such traffic that support the false-alarm rate in use: if this is more than `windows`, "
        "begin a baseline of as many (up to 1,000), or raise `false_alarm_rate`.",
    )
    block_windows: int | None = Field(
        None,
        description="Windows, one after the other, that count as one for a rate by days; null until it is complete.",
    )

    @classmethod
    def of(cls, monitor: VersionMonitor) -> Self:
        """The response's form of a version's baseline."""
        if (baseline := monitor.baseline) is None:
            return cls(state="none")
        return cls(
            state="complete" if baseline.is_complete else "learning",
            windows=baseline.windows,
            learned=baseline.learned,
            window_rows=baseline.window_rows,
            since=to_date(baseline.since),
            significant_before=baseline.significant_before if baseline.learned else None,
            factor=monitor.assessor.baseline_factor,
            independent_windows=baseline.independent_windows,
            smallest_rate=baseline.smallest_rate,
            windows_needed=baseline.windows_for(monitor.assessor.rate),
            block_windows=baseline.block_windows if baseline.is_complete else None,
        )
