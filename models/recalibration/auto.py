"""`auto` mode as a state machine: the rollout, and what was observed -> the next step, which is another rollout.

    alarm -> collect, estimate, gates -> shadow -> canary -> promote -> roll back when the estimate is worse

Every version is made from the *base*, the version that an operator has chosen, so that errors do not add up, and so
that one estimator, the base's, compares them all. One is better than another where the lower end of its interval is
above the other's estimate. The base answers wherever there is doubt:

- A version is published only by a job that passes its gates. It is promoted only if it is better than the version that
  answers, twice: on the rows that it was made from, and as a canary on the same traffic.
- It is rolled back, or ended as a canary, where its latest rows fit the base's statistics better.
- When the rows of a promoted version move, it is compared with the base on new ones, and stays only if its estimate is
  the higher one. It is rolled back at once where its whole interval is below the one that it was promoted with.
- Whatever else changes the rollout wins: `auto` mode pauses until it is switched on again.

Nothing here waits, reads or writes: the caller stores the rollout, starts and cancels the job, and calls again.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from models.manifest import AccuracyEstimate
from models.recalibration.observed import Observed, ObservedJob, ObservedWindow, describe
from models.repository.auto import Auto, AutoStep, Phase, StepName
from models.repository.rollout import Canary, Rollout

DAY_SECONDS = 86_400.0
_HOUR_SECONDS = 3600.0
_MINUTE_SECONDS = 60.0


@dataclass(frozen=True)
class Step:
    """What to do next.

    Attributes:
        rollout: to store; the last entry of its log is the step.
        cancel: id of a job that is not needed any more.
    """

    rollout: Rollout
    cancel: str | None = None


def next_step(rollout: Rollout, observed: Observed) -> Step | None:
    """The next step; None where there is nothing to do yet.

    Args:
        rollout: as it is stored.
        observed: since the last step.
    """
    auto = rollout.auto
    if auto is None or auto.phase == "paused":
        return None
    change = _Change(rollout, auto, observed)
    if (reason := _contradiction(rollout, auto)) is not None:
        return change.pause(reason)
    if auto.is_promoted and (reason := change.fits_base(auto.served)) is not None:
        return change.without_collecting().roll_back(reason)
    if (window := change.window) is not None and _is_worse(auto, window):
        return change.without_collecting().roll_back(
            f"estimated accuracy {describe(window.accuracy)}, promoted with {describe(auto.promise)}"
        )
    return _PHASES[auto.phase](change)


def may_attempt_at(auto: Auto, window: ObservedWindow | None = None) -> float:
    """When the next attempt may begin, in seconds since 1970.

    Args:
        auto: the state.
        window: that it is for. If its alarm is a new one, or its estimate is not in the interval of the last attempt's,
            earlier attempts do not count as failures.
    """
    if auto.attempted_at is None:
        return _may_publish_at(auto)
    failures = 0 if window is not None and _is_new(auto, window, auto.attempted_at) else min(auto.failures, 32)
    pause = auto.limits.min_minutes * _MINUTE_SECONDS
    longest = max(pause, auto.limits.max_pause_hours * _HOUR_SECONDS)
    return max(auto.attempted_at + min(pause * 2.0**failures, longest), _may_publish_at(auto))


def _may_publish_at(auto: Auto) -> float:
    times, most = auto.published, auto.limits.versions_per_day
    return times[-most] + DAY_SECONDS if len(times) >= most else 0.0


def _is_new(auto: Auto, window: ObservedWindow, attempted_at: float) -> bool:
    found, tried = window.accuracy, auto.tried
    has_changed = found is not None and tried is not None and not tried.low <= found.accuracy <= tried.high
    return has_changed or window.alarm_since > attempted_at


def _is_worse(auto: Auto, window: ObservedWindow) -> bool:
    """Whether a promoted version has become worse than it was promoted with, or it cannot be told any more."""
    if not auto.is_promoted or not (window.is_alarm or window.has_moved):
        return False
    found, promise = window.accuracy, auto.promise
    return found is None or (promise is not None and found.high < promise.low)


def _contradiction(rollout: Rollout, auto: Auto) -> str | None:
    """What somebody else has changed of the rollout; None where nothing is."""
    shadow = auto.candidate if auto.phase == "shadow" else None
    canary = auto.candidate if auto.phase == "canary" else None
    if rollout.default != auto.served:
        return f"version {rollout.default} was made the default"
    if rollout.shadow != shadow:
        return "the shadow was changed"
    if rollout.canary != (None if canary is None else Canary(version=canary, share=auto.limits.canary_share)):
        return "the canary was changed"
    return None


def _watch(change: "_Change") -> Step | None:
    auto, now, window = change.auto, change.observed.now, change.window
    if window is None:
        return None
    if not auto.is_promoted:
        may_attempt = window.is_alarm and now >= may_attempt_at(auto, window)
        return change.collect(f"alarm, estimated accuracy {describe(window.accuracy)}") if may_attempt else None
    if not (window.is_alarm or window.has_moved):
        return None
    if now < _may_publish_at(auto):
        return change.roll_back("its rows have moved, and no more versions may be published today")
    if now < may_attempt_at(auto, window):
        return None
    return change.collect(f"its rows have moved, estimated accuracy {describe(window.accuracy)}")


def _collect(change: "_Change") -> Step | None:
    job = change.observed.job
    if change.auto.job is None:
        return None  # it is being started
    if job is None:
        return change.end_unknown("its job is lost")
    if not job.is_finished:
        # A job gives up by itself: collecting has the same limit, and estimating one of its own.
        return change.end_unknown("its job takes too long") if change.is_late(2.0) else None
    return _judge(change.tried(job), job)


def _judge(change: "_Change", job: ObservedJob) -> Step:
    """Which of the base, the version that answers and the new one is to answer."""
    auto = change.auto
    served = job.served if auto.is_promoted else job.base
    if auto.is_promoted and (served is None or job.base is None or job.base.accuracy >= served.accuracy):
        return change.roll_back(f"estimated accuracy {describe(served)}, of version {auto.base} {describe(job.base)}")
    if job.published is None or job.candidate is None or served is None:
        return change.give_up(job.reason or "its accuracy cannot be estimated", has_failed=not job.was_moving)
    found = f"estimated accuracy {describe(job.candidate)}, of version {auto.served} {describe(served)}"
    if not job.candidate.is_better_than(served):
        return change.give_up(f"not better: {found}")
    return change.try_shadow(job.published, found)


def _leave_trial(change: "_Change") -> Step | None:
    """What ends the shadow and the canary alike."""
    auto, trial, window = change.auto, change.observed.trial, change.window
    if not auto.is_promoted and window is not None and not (window.is_alarm or window.has_moved):
        return change.give_up("the shift has ended")
    if trial.errors:
        return change.give_up(f"{trial.errors} requests failed")
    if change.is_late():
        return change.give_up(f"{trial.rows} rows in {auto.limits.step_hours:g} hours are too few")
    return None


def _try_shadow(change: "_Change") -> Step | None:
    if (step := _leave_trial(change)) is not None:
        return step
    rows = change.observed.trial.rows
    return change.try_canary(f"{rows} rows compared") if rows >= change.auto.limits.shadow_rows else None


def _try_canary(change: "_Change") -> Step | None:
    if (step := _leave_trial(change)) is not None:
        return step
    if (reason := change.fits_base(change.candidate)) is not None:
        return change.give_up(reason, has_failed=False)
    windows = change.window, change.window_of(change.candidate)
    served, candidate = (None if window is None else window.accuracy for window in windows)
    is_enough = change.observed.trial.rows >= change.auto.limits.canary_rows
    # One that is behind in its first window is not going to be ahead beyond doubt, and answers badly meanwhile.
    if candidate is None or served is None or not (is_enough or candidate.accuracy <= served.accuracy):
        return None
    found = f"estimated accuracy {describe(candidate)}, of version {change.auto.served} {describe(served)}"
    is_better = candidate.is_better_than(served)
    return change.promote(candidate, found) if is_better else change.give_up(f"not better: {found}")


_PHASES: dict[Phase, Callable[["_Change"], Step | None]] = {
    "watching": _watch,
    "collecting": _collect,
    "shadow": _try_shadow,
    "canary": _try_canary,
}


@dataclass(frozen=True)
class _Change:
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
        is_much = rows >= self.auto.limits.rollback_rows
        return f"its latest rows fit version {self.auto.base} better, by {rows:.0f} rows in sum" if is_much else None

    @property
    def candidate(self) -> int:
        assert self.auto.candidate is not None  # noqa: S101 - for the type checker
        return self.auto.candidate

    def window_of(self, version: int) -> ObservedWindow | None:
        """The last window of a version, if all of it is of this phase."""
        window = self.observed.windows.get(version)
        return None if window is None or window.since < self.auto.since else window

    def is_late(self, times: float = 1.0) -> bool:
        """Whether the phase takes longer than it may, or that many times as long."""
        return self.observed.now >= self.auto.since + times * self.auto.limits.step_hours * _HOUR_SECONDS

    def tried(self, job: ObservedJob) -> "_Change":
        """With the version that a job has published, and the estimate of the version that has answered its rows."""
        auto, now = self.auto, self.observed.now
        times = tuple(time for time in auto.published if time > now - DAY_SECONDS)
        found = {
            "published": times if job.published is None else (*times, now),
            "tried": job.served if auto.is_promoted else job.base,
        }
        return replace(self, auto=auto.model_copy(update=found))

    def without_collecting(self) -> "_Change":
        """As if no rows were being collected: what ends before it has tried anything delays no other attempt."""
        is_collecting = self.auto.phase == "collecting"
        return replace(self, auto=self.auto.model_copy(update={"attempted_at": None})) if is_collecting else self

    def collect(self, reason: str) -> Step:
        auto = self._enter("collecting", "collecting", self.auto.base, reason, attempted_at=self.observed.now)
        return Step(self.rollout.with_auto(auto))

    def try_shadow(self, candidate: int, reason: str) -> Step:
        auto = self._enter("shadow", "shadow", candidate, reason, candidate=candidate)
        return Step(self.rollout.with_auto(auto).with_shadow(candidate, auto.served))

    def try_canary(self, reason: str) -> Step:
        auto = self._enter("canary", "canary", self.candidate, reason, candidate=self.candidate)
        canary = Canary(version=self.candidate, share=auto.limits.canary_share)
        return Step(self.rollout.with_auto(auto).with_shadow(None, auto.served).with_canary(canary, auto.served))

    def promote(self, promise: AccuracyEstimate, reason: str) -> Step:
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
        is_early = now < (auto.promoted_at or now) + auto.limits.probation_hours * _HOUR_SECONDS
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
