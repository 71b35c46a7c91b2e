"""What `auto` mode observes before it decides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from models.errors import VersionRefused
from models.manifest import AccuracyEstimate, AccuracyGain


@dataclass(frozen=True)
class ObservedWindow:
    """The last judged window of a version's rows.

    Attributes:
        since, at: when its first row came and when it was full, in seconds since 1970.
        is_alarm: whether the window is one of an open alarm's, and a shift by itself.
        alarm_since: when that alarm began.
        has_moved: whether the rows differ from the version's reference more than they do by chance in one window of a
            thousand.
        accuracy: estimated; None where it is not.
        twin_gain: by how much the version would be more accurate with the statistics of these rows; None where it is
            not estimated.
    """

    since: float
    at: float
    is_alarm: bool = False
    alarm_since: float = 0.0
    has_moved: bool = False
    accuracy: AccuracyEstimate | None = None
    twin_gain: AccuracyGain | None = None


@dataclass(frozen=True)
class ObservedJob:
    """The job that collects rows and estimates from them.

    Attributes:
        is_finished: whether it has ended.
        published: the new version; None where there is none.
        reason: why there is none.
        base, served, candidate: estimated accuracies of the base, of the default version and of the new version, all on
            the job's rows; None where they are not known.
        gain: estimated, of the new version over the default one on these rows; None where it is not known.
        was_moving: whether the rows were still moving, so that they say nothing of those to come.
    """

    is_finished: bool = False
    published: int | None = None
    reason: str = ""
    base: AccuracyEstimate | None = None
    served: AccuracyEstimate | None = None
    candidate: AccuracyEstimate | None = None
    was_moving: bool = False
    gain: AccuracyGain | None = None


@dataclass(frozen=True)
class ObservedTrial:
    """What the shadow or the canary has done since it began.

    Attributes:
        rows: compared or answered.
        errors: requests that failed.
    """

    rows: int = 0
    errors: int = 0


@dataclass(frozen=True)
class Observed:
    """Everything at one moment.

    Attributes:
        now: seconds since 1970.
        windows: of the loaded versions that have one.
        job: None where it is not known.
        trial: of the shadow or the canary.
        rows_for_base: how much the latest rows of each version besides the base that answers fit the base better, in
            rows (`models.drift.version_fit.evidence_of_end`).
        rows_per_hour: of all versions, that are observed.
    """

    now: float
    windows: Mapping[int, ObservedWindow]
    job: ObservedJob | None = None
    trial: ObservedTrial = ObservedTrial()
    rows_for_base: Mapping[int, float] = field(default_factory=dict)
    rows_per_hour: float = inf


def is_better(
    candidate: AccuracyEstimate | None, served: AccuracyEstimate | None, gain: AccuracyGain | None = None
) -> bool:
    """Whether a new version is better than the one that has answered the rows, by more than the estimate is unsure of.

    It is where the whole interval of its accuracy is above the other's estimate, or that of its gain above 0: the
    former tells versions apart that differ on many rows, the latter those that differ on few.

    Args:
        candidate, served: estimated accuracies on the rows; None where they are not known.
        gain: of the new version over the other one; None where it is not known.
    """
    if candidate is None or served is None:
        return False
    return candidate.is_better_than(served) or (gain is not None and gain.low > 0)


def require_better(
    candidate: AccuracyEstimate | None, served: AccuracyEstimate | None, gain: AccuracyGain | None = None
) -> None:
    """Check that a new version is better than the one that has answered the rows, as of `is_better`.

    Raises:
        VersionRefused: it is not, or that is not known.
    """
    if not is_better(candidate, served, gain):
        raise VersionRefused(
            f"the estimated accuracy is not better: {describe(candidate)}, of the version that has answered the rows "
            f"{describe(served)}, estimated gain {describe(gain)}"
        )


def describe(estimate: AccuracyEstimate | AccuracyGain | None) -> str:
    """An estimate, with its interval, if it is known."""
    return "not known" if estimate is None else str(estimate)
