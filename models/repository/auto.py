"""What `auto` mode may do for a model, and how far it is: stored in the rollout, so that one write changes both.

`models.recalibration.auto` decides what comes next.
"""

from typing import Literal

from pydantic import Field

from models.manifest import AccuracyEstimate, Record

Phase = Literal["watching", "collecting", "shadow", "canary", "paused"]

StepName = Literal["started", "collecting", "shadow", "canary", "promoted", "gave_up", "rolled_back", "paused"]

MAX_LOG = 50
"""Steps that are remembered: the last ones."""

_ROWS_PER_EVIDENCE = 256
_LEAST_EVIDENCE, _MOST_EVIDENCE = 8, 32
"""Fewer rows fit either version by chance. With more, a version that has become worse answers longer."""


class AutoLimits(Record):
    """What `auto` mode may do."""

    rows: int = Field(256, ge=64, le=4096, description="Rows of the traffic that a version is estimated from.")
    min_minutes: float = Field(
        30,
        gt=0,
        le=10_080,
        description="Least time between the beginnings of two attempts. It doubles with each that came to nothing, as "
        "long as neither the alarm nor the estimated accuracy is another one.",
    )
    max_pause_hours: float = Field(6, gt=0, le=168, description="Where this time stops growing.")
    versions_per_day: int = Field(12, ge=1, le=1000, description="Most versions that are published in 24 hours.")
    shadow_rows: int = Field(256, ge=1, le=10_000_000, description="Rows that the shadow is compared on, at least.")
    canary_share: float = Field(
        0.5, gt=0, le=0.5, description="Share of the requests that name no version which the canary answers."
    )
    canary_rows: int = Field(512, ge=1, le=10_000_000, description="Rows that the canary answers, at least.")
    rollback_rows: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="A promoted version is rolled back, and a canary ended, when its latest rows fit the base's "
        "statistics better by that much in sum. A row counts by how much better it fits, at most as 1. By default a "
        "256th of the rows that are observed in an hour, from 8 to 32.",
    )
    step_hours: float = Field(
        6, gt=0, le=168, description="How long collecting, the shadow and the canary may take each, before it gives up."
    )
    probation_hours: float = Field(
        6,
        ge=0,
        le=168,
        description="A version that is rolled back sooner after its promotion counts as an attempt that came to "
        "nothing. It is rolled back later as well.",
    )

    def rollback_evidence(self, rows_per_hour: float) -> float:
        """`rollback_rows`, or what it is by default: less where there are few rows, as a mistake lasts longer there.

        Args:
            rows_per_hour: that are observed.
        """
        if self.rollback_rows is not None:
            return self.rollback_rows
        return min(max(rows_per_hour / _ROWS_PER_EVIDENCE, _LEAST_EVIDENCE), _MOST_EVIDENCE)


class AutoStep(Record):
    """A step that was taken."""

    at: float = Field(description="seconds since 1970")
    step: StepName
    version: int = Field(description="that the step is about")
    reason: str


class Auto(Record):
    """The state of `auto` mode. `models.recalibration.auto` has its transitions.

    Attributes:
        limits: what it may do.
        base: the version that the operator has chosen: every other one is made from it.
        served: the default version, as `auto` mode has left it.
        phase: what it does now.
        since: when the phase began, in seconds since 1970.
        candidate: the version that is the shadow or the canary.
        job: id of the job that collects and estimates; None before it has started.
        attempted_at: when the last attempt began.
        failures: attempts, one after the other, that came to nothing.
        published: when versions were published, in the last day.
        tried: estimated accuracy of the version that answered, on the rows of the last attempt; None where it is not
            known.
        promoted_at: when `served` was promoted; None where it is the base.
        promise: estimated accuracy that it was promoted with.
        log: the last steps, oldest first.
    """

    limits: AutoLimits = AutoLimits()
    base: int = Field(gt=0)
    served: int = Field(gt=0)
    phase: Phase = "watching"
    since: float
    candidate: int | None = None
    job: str | None = None
    attempted_at: float | None = None
    failures: int = Field(default=0, ge=0)
    published: tuple[float, ...] = ()
    tried: AccuracyEstimate | None = None
    promoted_at: float | None = None
    promise: AccuracyEstimate | None = None
    log: tuple[AutoStep, ...] = ()

    @classmethod
    def started(cls, limits: AutoLimits, base: int, served: int, now: float, log: tuple[AutoStep, ...] = ()) -> "Auto":
        """The state when an operator switches it on.

        Args:
            limits, base: as above.
            served: the default version, the base or one that was made from it.
            now: seconds since 1970.
            log: steps before.
        """
        promoted_at = None if served == base else now
        first = cls(limits=limits, base=base, served=served, since=now, promoted_at=promoted_at, log=log)
        return first.logged(AutoStep(at=now, step="started", version=served, reason="switched on"))

    @property
    def is_promoted(self) -> bool:
        """Whether a version answers that `auto` mode has promoted, in place of the base."""
        return self.served != self.base

    @property
    def compared_since(self) -> dict[int, float]:
        """Versions besides the base that rows are compared with, and since when, in seconds since 1970.

        A version that answers requests which name none is compared by the rows that it answers, the shadow by the same
        rows as the version that answers.
        """
        found = {} if self.promoted_at is None else {self.served: self.promoted_at}
        if self.candidate is not None:
            found[self.candidate] = self.since
        return found

    def logged(self, step: AutoStep) -> "Auto":
        """With one more step in the log."""
        return self.model_copy(update={"log": (*self.log, step)[-MAX_LOG:]})
