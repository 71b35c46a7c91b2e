"""When an alarm opens, and when it closes: evidence of windows, one after the other, at a rate of false alarms a day.

While nothing has moved, a window's p-value is at most a with a probability of at most a, for each measured rate a.
So the average over K rates of a bet at each, and of no bet, has a mean of at most 1 (Vovk & Wang 2021, "E-values:
calibration, combination and applications"):

    e = (1 + sum_k [p <= a_k] / a_k) / (K + 1)

Evidence adds up over windows as the statistic of Shiryaev and Roberts does, each new start weighted by time (the
e-detector of Shin, Ramdas & Rinaldo 2024, "E-detectors: a nonparametric framework for sequential change detection"):

    M_t = e_t (M_(t-1) + d_t / D)

with d_t the days since the last window. M = 1 opens an alarm, after which M begins at 0 again. Then M_t and the number
of alarms, less the time over D, is a supermartingale: in any T days, the expected number of false alarms is at most
T / D. Nothing is assumed of how windows depend on each other, beyond p-values that are valid whatever came before.
What makes e smaller keeps the bound: a window that is not significant at the false-alarm rate and large, is as one that
shows nothing, e = 1 / (K + 1).

Neighbouring windows of correlated traffic are alike, and their p-values are not valid given each other. As many of them
as count for one (`models.drift.baseline`) are a block, whose e-value is the mean of theirs: a mean of e-values is one,
however they depend on each other. Before a block is full, the windows that it lacks count as showing nothing, so an
alarm opens as soon as it is certain that the full block would open it.

An open alarm closes when its evidence is as low as after `QUIET_WINDOWS` windows that show nothing. Where the shift
goes on, some windows below the threshold close nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.drift.alarm_course import MAX_COURSES, AlarmCourse, AlarmState, Block
from models.drift.assessment import Assessment
from models.manifest import DriftReference

QUIET_WINDOWS = 3
"""Windows without a shift, one after the other, that close an alarm."""

SECONDS_PER_DAY = 86_400.0
_ROUNDING = 1 + 1e-9


@dataclass(frozen=True)
class AlarmRule:
    """Opens and closes the alarms of a version.

    Attributes:
        rates: at which p-values are known, descending, not above the false-alarm rate of a window.
        days: D, of which one has a false alarm on average; None opens an alarm with each significant and large window.
    """

    rates: Sequence[float]
    days: float | None = None

    @classmethod
    def at(cls, reference: DriftReference | None, rate: float, days: float | None) -> "AlarmRule":
        """The rule at a false-alarm rate of a window."""
        measured = () if reference is None else reference.false_alarm_rates
        return cls(tuple(each for each in measured if each <= rate), days)

    def evidence(self, found: Assessment) -> float:
        """The e-value of a window."""
        p = found.p_value if found.alarm else 1.0
        return (1 + sum(1 / rate for rate in self.rates if p <= rate)) * self._nothing

    def next(self, state: AlarmState, found: Assessment, began: float, at: float, block_windows: int = 1) -> AlarmState:
        """The state after one more window.

        Args:
            state: after the last one.
            found: of the window.
            began: time of the window's first row, in seconds since 1970.
            at: when it was full.
            block_windows: that count as one, at least 1.
        """
        e = self.evidence(found)
        if (course := state.open) is not None:
            # A window that is significant by itself closes nothing, also where its p-value is not known to last.
            evidence = min((max(e, 1.0) if found.alarm else e) * state.evidence, 1.0)
            is_closed = evidence <= _ROUNDING * self._nothing**QUIET_WINDOWS
            course = course.after(found, at, is_closed=is_closed)
            return replace(
                state,
                evidence=0.0 if is_closed else evidence,
                judged_at=at,
                courses=(*state.courses[:-1], course),
            )
        days = max(at - (began if state.judged_at is None else state.judged_at), 0.0) / SECONDS_PER_DAY
        block = state.block.add(e, days)
        if self.days is None:
            evidence = float(found.alarm)
        else:
            evidence = self._after_block(state.evidence, block, block_windows, self.days)
        # A window that shows nothing opens none, however long the time before it.
        if evidence >= 1 and found.alarm:
            courses = (*state.courses, AlarmCourse.opened_by(found, at))[-MAX_COURSES:]
            return AlarmState(1.0, at, courses)
        if block.windows < block_windows:
            return replace(state, judged_at=at, block=block)
        return AlarmState(min(evidence, 1.0), at, state.courses)

    def _after_block(self, before: float, block: Block, block_windows: int, days: float) -> float:
        """The evidence after a block, of which some windows may be missing."""
        missing = max(block_windows - block.windows, 0)
        e = (block.e_values + missing * self._nothing) / (block.windows + missing)
        return e * (before + block.days / days)

    @property
    def _nothing(self) -> float:
        """The e-value of a window that shows nothing."""
        return 1 / (len(self.rates) + 1)
