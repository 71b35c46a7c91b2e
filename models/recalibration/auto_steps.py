"""The steps of `auto` mode, each to another rollout. `models.recalibration.auto` chooses one."""

from dataclasses import dataclass, replace
from typing import Any

from models.manifest import AccuracyEstimate
from models.recalibration.observed import Observed, ObservedJob, ObservedWindow
from models.repository.auto import Auto, AutoStep, Phase, StepName
from models.repository.rollout import Canary, Rollout

DAY_SECONDS = 86_400.0
HOUR_SECONDS = 3600.0


@dataclass(frozen=True)
class Step:
    """What to do next.

    Attributes:
        rollout: to store; the last entry of its log is the step.
        cancel: id of a job that is not needed any more.
    """

    rollout: Rollout
    cancel: str | None = None


@dataclass(frozen=True)
class Change:
    """The steps that a state may be left by."""

    rollout: Rollout
    auto: Auto
    observed: Observed

    @property
    def window(self) -> ObservedWindow | None:
        """The last window of the version that answers, if all of it is of this phase."""
        return self.window_of(self.auto.served)

    def fits_base(self, version: int) -> str | None:
        """How much better the latest rows of a version fit the base; None where that is too little to end it."""
        rows = self.observed.rows_for_base.get(version, 0.0)
        is_much = rows >= self.auto.limits.rollback_evidence(self.observed.rows_per_hour)
        return f"its latest rows fit version {self.auto.base} better, by {rows:.0f} rows in sum" if is_much else None

    @property
    def candidate(self) -> int:
        """The version that is tried, in a phase that has one."""
        assert self.auto.candidate is not None  # noqa: S101 - for the type checker
        return self.auto.candidate

    def window_of(self, version: int) -> ObservedWindow | None:
        """The last window of a version, if all of it is of this phase."""
        window = self.observed.windows.get(version)
        return None if window is None or window.since < self.auto.since else window

    def is_late(self, times: float = 1.0) -> bool:
        """Whether the phase takes longer than it may, or that many times as long."""
        return self.observed.now >= self.auto.since + times * self.auto.limits.step_hours * HOUR_SECONDS

    def tried(self, job: ObservedJob) -> "Change":
        """With the version that a job has published, and the estimate of the version that has answered its rows."""
        auto, now = self.auto, self.observed.now
        times = tuple(time for time in auto.published if time > now - DAY_SECONDS)
        found = {
            "published": times if job.published is None else (*times, now),
            "tried": job.served if auto.is_promoted else job.base,
        }
        return replace(self, auto=auto.model_copy(update=found))

    def without_collecting(self) -> "Change":
        """As if no rows were being collected: what ends before it has tried anything delays no other attempt."""
        is_collecting = self.auto.phase == "collecting"
        return replace(self, auto=self.auto.model_copy(update={"attempted_at": None})) if is_collecting else self

    def collect(self, reason: str) -> Step:
        """Collect rows for a new version."""
        auto = self._enter("collecting", "collecting", self.auto.base, reason, attempted_at=self.observed.now)
        return Step(self.rollout.with_auto(auto))

    def try_shadow(self, candidate: int, reason: str) -> Step:
        """Compare a new version on traffic that it does not answer."""
        auto = self._enter("shadow", "shadow", candidate, reason, candidate=candidate)
        return Step(self.rollout.with_auto(auto).with_shadow(candidate, auto.served))

    def try_canary(self, reason: str) -> Step:
        """Let the new version answer a share."""
        auto = self._enter("canary", "canary", self.candidate, reason, candidate=self.candidate)
        canary = Canary(version=self.candidate, share=auto.limits.canary_share)
        return Step(self.rollout.with_auto(auto).with_shadow(None, auto.served).with_canary(canary, auto.served))

    def promote(self, promise: AccuracyEstimate, reason: str) -> Step:
        """Let the new version answer, as long as it keeps the accuracy that it promises."""
        now = self.observed.now
        changes = {"served": self.candidate, "promoted_at": now, "promise": promise, "failures": 0}
        auto = self._enter("watching", "promoted", self.candidate, reason, **changes)
        return Step(self.rollout.with_auto(auto).promoted(self.candidate, self.auto.served))

    def give_up(self, reason: str, *, has_failed: bool = True) -> Step:
        """End an attempt; the version that answers stays. One that has not failed does not delay the next one."""
        version = self.auto.candidate or self.auto.base
        failures = self.auto.failures + 1 if has_failed else 0
        auto = self._enter("watching", "gave_up", version, reason, failures=failures)
        return Step(self._without_trial().with_auto(auto), cancel=self.auto.job)

    def end_unknown(self, reason: str) -> Step:
        """End an attempt that has told nothing: a promoted version does not stay."""
        return self.roll_back(reason) if self.auto.is_promoted else self.give_up(reason)

    def roll_back(self, reason: str) -> Step:
        """Let the base answer again."""
        auto, now = self.auto, self.observed.now
        is_early = now < (auto.promoted_at or now) + auto.limits.probation_hours * HOUR_SECONDS
        changes = {"served": auto.base, "promoted_at": None, "promise": None, "failures": auto.failures + is_early}
        after = self._enter("watching", "rolled_back", auto.served, reason, **changes)
        rollout = self._without_trial().with_auto(after).promoted(auto.base, auto.served)
        return Step(rollout, cancel=auto.job)

    def pause(self, reason: str) -> Step:
        """Leave the rollout to whoever has changed it."""
        auto = self._enter("paused", "paused", self.auto.served, reason)
        return Step(self.rollout.with_auto(auto), cancel=self.auto.job)

    def _without_trial(self) -> Rollout:
        return self.rollout.model_copy(update={"shadow": None, "canary": None})

    def _enter(self, phase: Phase, name: StepName, version: int, reason: str, **changes: Any) -> Auto:
        now = self.observed.now
        ended = {"candidate": None, "job": None, **changes, "phase": phase, "since": now}
        step = AutoStep(at=now, step=name, version=version, reason=reason)
        return self.auto.model_copy(update=ended).logged(step)
