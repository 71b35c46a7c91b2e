"""An alarm from its beginning to its end, and the evidence that opens and closes it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.accuracy.agreement import CurrentAccuracy
from models.drift.assessment import Assessment

MAX_COURSES = 32
"""Alarms of a version that are remembered: the last ones."""


@dataclass(frozen=True)
class Peak:
    """The worst window of an alarm: the lowest estimated accuracy, or the most significant one where none is estimated.

    Attributes:
        at: when it was full, in seconds since 1970.
        significance: the statistic over all layers, relative to its threshold.
        symmetric_kl: mean over layers.
        accuracy: estimated; None where it is not.
    """

    at: float
    significance: float
    symmetric_kl: float
    accuracy: CurrentAccuracy | None

    @classmethod
    def of(cls, found: Assessment, at: float) -> "Peak":
        """A window as the worst so far."""
        significance = found.statistic / found.threshold if found.statistic and found.threshold else 0.0
        return cls(at, significance, found.symmetric_kl, found.accuracy)

    @property
    def severity(self) -> tuple[float, float]:
        """What is larger for a worse window: the estimated loss of accuracy, and then the significance."""
        return (0.0 if self.accuracy is None else self.accuracy.usual - self.accuracy.value), self.significance


@dataclass(frozen=True)
class AlarmCourse:
    """One alarm.

    Attributes:
        began: when the window that opened it was full, in seconds since 1970.
        ended: when the one that closed it was, or when the version had no role and no rows; None while it is open.
        windows: judged from the one to the other, both included.
        peak: the worst of them.
        first_layer: the first layer of the network that was significant in the window that opened it; None if none
            was by itself.
        classes: that were significantly more or less frequent among the predictions at the peak, ascending.
        end_reason: why it ended where no window has closed it; empty otherwise.
    """

    began: float
    ended: float | None
    windows: int
    peak: Peak
    first_layer: str | None
    classes: tuple[int, ...]
    end_reason: str = ""

    @classmethod
    def opened_by(cls, found: Assessment, at: float) -> "AlarmCourse":
        """The alarm that a window opens."""
        first = next((name for name, layer in found.layers.items() if layer.significant), None)
        return cls(at, None, 1, Peak.of(found, at), first, _classes(found))

    def after(self, found: Assessment, at: float, *, is_closed: bool) -> "AlarmCourse":
        """The alarm after one more window, which closes it or not."""
        course = replace(self, windows=self.windows + 1, ended=at if is_closed else None)
        peak = Peak.of(found, at)
        return course if peak.severity <= self.peak.severity else replace(course, peak=peak, classes=_classes(found))


@dataclass(frozen=True)
class Block:
    """Windows, one after the other, that are too much alike to count each by itself.

    Attributes:
        windows: so far.
        e_values: their sum.
        days: from the end of the block before to that of the last window.
    """

    windows: int = 0
    e_values: float = 0.0
    days: float = 0.0

    def add(self, e: float, days: float) -> "Block":
        """The block with one more window, of this e-value, so many days after the last one."""
        return Block(self.windows + 1, self.e_values + e, self.days + days)


NO_BLOCK = Block()


@dataclass(frozen=True)
class AlarmState:
    """What is known of a version's alarms after a window.

    Attributes:
        evidence: 1 opens an alarm; `models.drift.alarm_rule` has how it adds up.
        judged_at: when the window was full, in seconds since 1970; None before the first.
        courses: the last alarms, oldest first. At most the last one is open.
        block: windows since the last ones that `evidence` has, which wait until they are a block.
    """

    evidence: float = 0.0
    judged_at: float | None = None
    courses: tuple[AlarmCourse, ...] = ()
    block: Block = NO_BLOCK

    @property
    def open(self) -> AlarmCourse | None:
        """The alarm that is open; None if none is."""
        return self.courses[-1] if self.courses and self.courses[-1].ended is None else None

    def end(self, at: float, reason: str) -> "AlarmState":
        """The state after the open alarm has ended for another reason than a window. Evidence begins anew."""
        if self.open is None:
            return self
        ended = replace(self.open, ended=at, end_reason=reason)
        return AlarmState(judged_at=self.judged_at, courses=(*self.courses[:-1], ended))

    def since(self, time: float) -> Sequence[AlarmCourse]:
        """The alarms that were open after a time, in seconds since 1970, oldest first."""
        return [course for course in self.courses if course.ended is None or course.ended >= time]


NO_ALARMS = AlarmState()


def _classes(found: Assessment) -> tuple[int, ...]:
    return () if found.classes is None else found.classes.unusual
