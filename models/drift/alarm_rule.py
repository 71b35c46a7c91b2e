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

An open alarm closes when its evidence is as low as after `QUIET_WINDOWS` such windows. Where the shift goes on, some
windows below the threshold close nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.drift.alarm_course import MAX_COURSES, AlarmCourse, AlarmState
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
        return (1 + sum(1 / rate for rate in self.rates if p <= rate)) / (len(self.rates) + 1)

    def next(self, state: AlarmState, found: Assessment, began: float, at: float) -> AlarmState:
        """The state after one more window.

        Args:
            state: after the last one.
            found: of the window.
            began: time of the window's first row, in seconds since 1970.
            at: when it was full.
        """
        e = self.evidence(found)
        if (course := state.open) is not None:
            evidence = min(e * state.evidence, 1.0)
            is_closed = evidence <= _ROUNDING * self._closing
            course = course.after(found, at, is_closed=is_closed)
            return replace(
                state,
                evidence=0.0 if is_closed else evidence,
                judged_at=at,
                courses=(*state.courses[:-1], course),
            )
        if self.days is None:
            evidence = float(found.alarm)
        else:
            days = max(at - (began if state.judged_at is None else state.judged_at), 0.0) / SECONDS_PER_DAY
            evidence = e * (state.evidence + days / self.days)
        # A window that shows nothing opens none, however long the time before it.
        if evidence < 1 or not found.alarm:
            return replace(state, evidence=min(evidence, 1.0), judged_at=at)
        courses = (*state.courses, AlarmCourse.opened_by(found, at))[-MAX_COURSES:]
        return AlarmState(1.0, at, courses)

    @property
    def _closing(self) -> float:
        return float((1 / (len(self.rates) + 1)) ** QUIET_WINDOWS)
