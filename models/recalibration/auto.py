"""`auto` mode as a state machine: the rollout, and what was observed -> the next step, which is another rollout.

    alarm -> collect, estimate, gates -> shadow -> canary -> promote -> roll back when the estimate is worse

Every version is made from the *base*, the version that an operator has chosen, so that errors do not add up, and so
that one estimator, the base's, compares them all. One is better than another where the lower end of its interval is
above the other's estimate, or that of its gain above 0 (`models.accuracy.gain`). The base answers wherever there is
doubt:

- A version is published only by a job that passes its gates. It is promoted only if it is better than the version that
  answers, twice: on the rows that it was made from, and as a canary on the same traffic.
- It is rolled back, or ended as a shadow or a canary, where the latest rows fit the base's statistics better.
- When the rows of a promoted version move, it is compared with the base on new ones, and stays only if its estimate is
  the higher one. It is rolled back at once where its whole interval is below the one that it was promoted with.
- Whatever else changes the rollout wins: `auto` mode pauses until it is switched on again.

Nothing here waits, reads or writes: the caller stores the rollout, starts and cancels the job, and calls again.
"""

from collections.abc import Callable

from models.manifest import AccuracyGain
from models.recalibration.auto_steps import DAY_SECONDS, HOUR_SECONDS, Change, Step
from models.recalibration.observed import Observed, ObservedJob, ObservedWindow, describe, is_better
from models.repository.auto import Auto, Phase
from models.repository.rollout import Canary, Rollout

_MINUTE_SECONDS = 60.0


def next_step(rollout: Rollout, observed: Observed) -> Step | None:
    """The next step; None where there is nothing to do yet.

    Args:
        rollout: as it is stored.
        observed: since the last step.
    """
    auto = rollout.auto
    if auto is None or auto.phase == "paused":
        return None
    change = Change(rollout, auto, observed)
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
    longest = max(pause, auto.limits.max_pause_hours * HOUR_SECONDS)
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


def _watch(change: Change) -> Step | None:
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


def _collect(change: Change) -> Step | None:
    job = change.observed.job
    if change.auto.job is None:
        return None  # it is being started
    if job is None:
        return change.end_unknown("its job is lost")
    if not job.is_finished:
        # A job gives up by itself: collecting has the same limit, and estimating one of its own.
        return change.end_unknown("its job takes too long") if change.is_late(2.0) else None
    return _judge(change.tried(job), job)


def _judge(change: Change, job: ObservedJob) -> Step:
    """Which of the base, the version that answers and the new one is to answer."""
    auto = change.auto
    served = job.served if auto.is_promoted else job.base
    if auto.is_promoted and (served is None or job.base is None or job.base.accuracy >= served.accuracy):
        return change.roll_back(f"estimated accuracy {describe(served)}, of version {auto.base} {describe(job.base)}")
    if job.published is None or job.candidate is None or served is None:
        return change.give_up(job.reason or "its accuracy cannot be estimated", has_failed=not job.was_moving)
    found = f"estimated accuracy {describe(job.candidate)}, of version {auto.served} {describe(served)}"
    if not is_better(job.candidate, served, job.gain):
        return change.give_up(f"not better: {found}")
    return change.try_shadow(job.published, found)


def _leave_trial(change: Change) -> Step | None:
    """What ends the shadow and the canary alike."""
    auto, trial, window = change.auto, change.observed.trial, change.window
    if not auto.is_promoted and window is not None and not (window.is_alarm or window.has_moved):
        return change.give_up("the shift has ended")
    if trial.errors:
        return change.give_up(f"{trial.errors} requests failed")
    if change.is_late():
        return change.give_up(f"{trial.rows} rows in {auto.limits.step_hours:g} hours are too few")
    return None


def _try_shadow(change: Change) -> Step | None:
    if (step := _leave_trial(change)) is not None:
        return step
    if (reason := change.fits_base(change.candidate)) is not None:
        return change.give_up(reason, has_failed=False)
    rows = change.observed.trial.rows
    return change.try_canary(f"{rows} rows compared") if rows >= change.auto.limits.shadow_rows else None


def _try_canary(change: Change) -> Step | None:
    if (step := _leave_trial(change)) is not None:
        return step
    if (reason := change.fits_base(change.candidate)) is not None:
        return change.give_up(reason, has_failed=False)
    answering, tried = change.window, change.window_of(change.candidate)
    served, candidate = (None if window is None else window.accuracy for window in (answering, tried))
    is_enough = change.observed.trial.rows >= change.auto.limits.canary_rows
    # One that is behind in its first window is not going to be ahead beyond doubt, and answers badly meanwhile.
    if candidate is None or served is None or not (is_enough or candidate.accuracy <= served.accuracy):
        return None
    gain = _gain(answering, tried)
    found = f"estimated accuracy {describe(candidate)}, of version {change.auto.served} {describe(served)}"
    if is_better(candidate, served, gain):
        return change.promote(candidate, found)
    return change.give_up(f"not better: {found}, estimated gain {describe(gain)}")


def _gain(served: ObservedWindow | None, candidate: ObservedWindow | None) -> AccuracyGain | None:
    """By how much the candidate is more accurate: what the twin would gain over the other, less what over itself."""
    if served is None or candidate is None or served.twin_gain is None or candidate.twin_gain is None:
        return None
    return served.twin_gain.less(candidate.twin_gain)


_PHASES: dict[Phase, Callable[[Change], Step | None]] = {
    "watching": _watch,
    "collecting": _collect,
    "shadow": _try_shadow,
    "canary": _try_canary,
}
