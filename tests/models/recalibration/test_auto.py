"""Every transition of `auto` mode, its limits, and what it never does."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.manifest import AccuracyEstimate, AccuracyGain
from models.recalibration.auto import may_attempt_at, next_step
from models.recalibration.auto_steps import Step
from models.recalibration.observed import Observed, ObservedJob, ObservedTrial, ObservedWindow
from models.repository.auto import MAX_LOG, Auto, AutoLimits
from models.repository.rollout import Canary, Rollout, parse, serialize

START = 1_000_000.0
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
LIMITS = AutoLimits(
    min_minutes=10,
    max_pause_hours=1,
    versions_per_day=2,
    shadow_rows=100,
    canary_share=0.25,
    canary_rows=200,
    step_hours=2,
    probation_hours=3,
)
BASE, NEW, NEWER = 1, 2, 3


def accuracy(value: float, half: float = 0.05) -> AccuracyEstimate:
    return AccuracyEstimate(accuracy=value, low=max(value - half, 0.0), high=min(value + half, 1.0))


GOOD, BAD = accuracy(0.95), accuracy(0.5)
ALIKE = accuracy(0.93)


def quiet(at: float, found: AccuracyEstimate | None = GOOD) -> ObservedWindow:
    return ObservedWindow(at, at, accuracy=found)


def alarm(at: float, found: AccuracyEstimate | None = BAD, since: float = START) -> ObservedWindow:
    return ObservedWindow(at, at, is_alarm=True, alarm_since=since, has_moved=True, accuracy=found)


def moved(at: float, found: AccuracyEstimate | None = GOOD) -> ObservedWindow:
    return ObservedWindow(at, at, has_moved=True, accuracy=found)


def watching(**changes: Any) -> Rollout:
    """The base answers."""
    auto = Auto.started(LIMITS, BASE, BASE, START)
    return Rollout(default=BASE, auto=auto.model_copy(update=changes))


def collecting(of: Rollout | None = None) -> Rollout:
    """A job is being carried out."""
    return changed(of or watching(), phase="collecting", job="id", attempted_at=START)


def shadow(of: Rollout | None = None) -> Rollout:
    found = changed(of or watching(), phase="shadow", candidate=NEW, attempted_at=START)
    return found.model_copy(update={"shadow": NEW})


def canary(of: Rollout | None = None) -> Rollout:
    found = changed(of or watching(), phase="canary", candidate=NEW, attempted_at=START)
    return found.model_copy(update={"canary": Canary(version=NEW, share=0.25)})


def promoted(**changes: Any) -> Rollout:
    """Another version answers."""
    state = {"served": NEW, "promoted_at": START, "promise": GOOD, "attempted_at": START, **changes}
    return watching(**state).model_copy(update={"default": NEW, "previous": (BASE,)})


def changed(rollout: Rollout, **changes: Any) -> Rollout:
    return rollout.with_auto(auto_of(rollout).model_copy(update=changes))


def auto_of(rollout: Rollout) -> Auto:
    assert rollout.auto is not None
    return rollout.auto


def take(rollout: Rollout, now: float, *, windows: dict[int, ObservedWindow] | None = None, **observed: Any) -> Step:
    step = next_step(rollout, Observed(now, windows or {}, **observed))
    assert step is not None, "no step"
    return step


def taken(step: Step) -> str:
    return auto_of(step.rollout).log[-1].step


def nothing(rollout: Rollout, now: float, *, windows: dict[int, ObservedWindow] | None = None, **observed: Any) -> bool:
    return next_step(rollout, Observed(now, windows or {}, **observed)) is None


NOW = START + 20 * MINUTE
PUBLISHED = ObservedJob(is_finished=True, published=NEW, base=BAD, candidate=GOOD)
ALL = {"watching": watching, "collecting": collecting, "shadow": shadow, "canary": canary, "promoted": promoted}


class TestWatching:
    def test_an_alarm_begins_an_attempt(self) -> None:
        step = take(watching(), NOW, windows={BASE: alarm(NOW)})

        state = auto_of(step.rollout)
        assert (taken(step), state.phase, state.since, state.attempted_at, state.job) == (
            "collecting", "collecting", NOW, NOW, None,
        )  # fmt: skip
        assert "50.0 % (45 to 55)" in state.log[-1].reason
        assert step.rollout.default == BASE

    @pytest.mark.parametrize("window", [None, quiet(NOW), moved(NOW, BAD)], ids=["none", "quiet", "moved, no alarm"])
    def test_without_an_alarm_there_is_none(self, window: ObservedWindow | None) -> None:
        assert nothing(watching(), NOW, windows={} if window is None else {BASE: window})

    def test_rows_of_before_do_not_count(self) -> None:
        """After a roll-back the base still has an alarm that was opened before the promotion."""
        late = watching(since=NOW)

        assert nothing(late, NOW + 1, windows={BASE: alarm(NOW - 1)})
        assert not nothing(late, NOW + 1, windows={BASE: alarm(NOW)})

    def test_off_and_paused_do_nothing(self) -> None:
        assert nothing(Rollout(default=BASE), NOW, windows={BASE: alarm(NOW)})
        assert nothing(watching(phase="paused"), NOW, windows={BASE: alarm(NOW)})


class TestCollecting:
    def test_a_better_version_becomes_the_shadow(self) -> None:
        step = take(collecting(), NOW, job=PUBLISHED)

        state = auto_of(step.rollout)
        assert (taken(step), state.phase, state.candidate, state.job) == ("shadow", "shadow", NEW, None)
        assert (step.rollout.default, step.rollout.shadow, step.rollout.canary) == (BASE, NEW, None)
        assert state.published == (NOW,)
        assert state.tried == BAD

    @pytest.mark.parametrize(
        ("job", "reason"),
        [
            (None, "its job is lost"),
            (ObservedJob(is_finished=True, reason="label_shift 0.9"), "label_shift 0.9"),
            (replace(PUBLISHED, candidate=None), "its accuracy cannot be estimated"),
            (replace(PUBLISHED, base=None), "its accuracy cannot be estimated"),
            (replace(PUBLISHED, candidate=accuracy(0.54)), "not better: "),
        ],
        ids=["lost", "refused", "no estimate", "no estimate of the base", "not better"],
    )
    def test_anything_else_ends_the_attempt(self, job: ObservedJob | None, reason: str) -> None:
        step = take(collecting(), NOW, job=job)

        state = auto_of(step.rollout)
        assert (taken(step), state.phase, state.failures) == ("gave_up", "watching", 1)
        assert state.log[-1].reason.startswith(reason)
        assert (step.rollout.default, step.rollout.shadow, step.rollout.canary) == (BASE, None, None)

    def test_a_job_that_goes_on_is_waited_for_and_then_cancelled(self) -> None:
        going_on = ObservedJob()

        assert nothing(collecting(), START + 4 * HOUR - 1, job=going_on)
        step = take(collecting(), START + 4 * HOUR, job=going_on)
        assert (taken(step), step.cancel) == ("gave_up", "id")

    def test_a_job_that_has_not_started_is_not_lost(self) -> None:
        assert nothing(changed(collecting(), job=None), NOW)


class TestTrials:
    def test_the_shadow_becomes_the_canary(self) -> None:
        assert nothing(shadow(), NOW, trial=ObservedTrial(99))
        step = take(shadow(), NOW, trial=ObservedTrial(100))

        assert (taken(step), auto_of(step.rollout).phase, auto_of(step.rollout).candidate) == ("canary", "canary", NEW)
        assert (step.rollout.shadow, step.rollout.canary) == (None, Canary(version=NEW, share=0.25))
        assert step.rollout.default == BASE

    def test_the_canary_is_promoted_where_it_is_better(self) -> None:
        windows = {BASE: alarm(NOW), NEW: quiet(NOW)}

        assert nothing(canary(), NOW, windows=windows, trial=ObservedTrial(199))
        step = take(canary(), NOW, windows=windows, trial=ObservedTrial(200))
        state = auto_of(step.rollout)
        assert (taken(step), state.phase, state.served, state.promise) == ("promoted", "watching", NEW, GOOD)
        assert (step.rollout.default, step.rollout.previous, step.rollout.canary) == (NEW, (BASE,), None)
        assert state.candidate is None

    @pytest.mark.parametrize(
        "windows",
        [
            {BASE: alarm(NOW)},
            {NEW: quiet(NOW)},
            {BASE: alarm(NOW), NEW: quiet(START - 1)},
            {BASE: alarm(START - 1), NEW: quiet(NOW)},
            {BASE: alarm(NOW), NEW: quiet(NOW, None)},
        ],
        ids=["no window", "none of the base", "an old one", "an old one of the base", "no estimate"],
    )
    def test_without_both_estimates_nothing_is_promoted(self, windows: dict[int, ObservedWindow]) -> None:
        assert nothing(canary(), NOW, windows=windows, trial=ObservedTrial(10_000))

    def test_a_canary_whose_interval_does_not_say_better_is_not_promoted(self) -> None:
        uncertain = accuracy(0.9, half=0.45)
        step = take(canary(), NOW, windows={BASE: alarm(NOW), NEW: quiet(NOW, uncertain)}, trial=ObservedTrial(200))

        assert (taken(step), auto_of(step.rollout).failures) == ("gave_up", 1)
        assert (step.rollout.default, step.rollout.canary) == (BASE, None)

    def test_a_canary_that_is_behind_in_its_first_window_ends_before_it_has_answered_all_its_rows(self) -> None:
        behind, few = {BASE: alarm(NOW), NEW: quiet(NOW, BAD)}, ObservedTrial(LIMITS.canary_rows // 2)
        step = take(canary(), NOW, windows=behind, trial=few)

        assert (taken(step), auto_of(step.rollout).failures) == ("gave_up", 1)
        assert auto_of(step.rollout).log[-1].reason.startswith("not better")
        ahead = {BASE: alarm(NOW), NEW: quiet(NOW, accuracy(BAD.accuracy + 0.01))}
        assert nothing(canary(), NOW, windows=ahead, trial=few)

    @pytest.mark.parametrize("trial", [shadow, canary])
    @pytest.mark.parametrize(
        ("now", "observed", "reason"),
        [
            (NOW, {"trial": ObservedTrial(1000, errors=1)}, "1 requests failed"),
            (START + 2 * HOUR, {"trial": ObservedTrial(7)}, "7 rows in 2 hours are too few"),
            (NOW, {"trial": ObservedTrial(1000), "windows": {BASE: quiet(NOW)}}, "the shift has ended"),
        ],
        ids=["errors", "too slow", "no shift any more"],
    )
    def test_a_trial_ends(self, trial: Any, now: float, observed: dict[str, Any], reason: str) -> None:
        step = take(trial(), now, **observed)

        assert (taken(step), auto_of(step.rollout).log[-1].reason) == ("gave_up", reason)
        assert (step.rollout.default, step.rollout.shadow, step.rollout.canary) == (BASE, None, None)

    @pytest.mark.parametrize("trial", [shadow, canary])
    def test_a_trial_whose_rows_fit_the_base_better_ends_and_has_not_failed(self, trial: Any) -> None:
        limit = 32.0
        step = take(trial(changed(watching(), failures=3)), NOW, rows_for_base={NEW: limit})

        state = auto_of(step.rollout)
        assert (taken(step), state.log[-1].reason, state.failures) == (
            "gave_up", "its latest rows fit version 1 better, by 32 rows in sum", 0,
        )  # fmt: skip
        assert (step.rollout.default, step.rollout.shadow, step.rollout.canary) == (BASE, None, None)
        assert nothing(trial(), NOW, rows_for_base={NEW: limit - 0.1})

    def test_a_canary_is_better_by_the_rows_on_which_the_versions_differ(self) -> None:
        """Its interval holds the other's estimate: the two differ on few rows, of which it has the more right."""
        few, none = (AccuracyGain(gain=gain, low=gain - 0.01, high=gain + 0.01) for gain in (0.03, 0.0))
        windows = {
            BASE: replace(alarm(NOW), accuracy=ALIKE, twin_gain=few),
            NEW: replace(quiet(NOW), accuracy=GOOD, twin_gain=none),
        }
        enough = ObservedTrial(10_000)
        assert not GOOD.is_better_than(ALIKE)

        assert taken(take(canary(), NOW, windows=windows, trial=enough)) == "promoted"
        for other in (replace(windows[NEW], twin_gain=few), replace(windows[NEW], twin_gain=None)):
            step = take(canary(), NOW, windows={**windows, NEW: other}, trial=enough)
            assert taken(step) == "gave_up"

    def test_a_job_is_better_by_the_rows_on_which_the_versions_differ(self) -> None:
        job = replace(PUBLISHED, base=ALIKE)
        for gain, step in ((0.03, "shadow"), (0.01, "gave_up"), (None, "gave_up")):
            found = None if gain is None else AccuracyGain(gain=gain, low=gain - 0.02, high=gain + 0.02)
            assert taken(take(collecting(), NOW, job=replace(job, gain=found))) == step

    @pytest.mark.parametrize(
        ("given", "rows_per_hour", "enough"), [(None, 100, 8), (None, 4096, 16), (None, 1e5, 32), (50, 100, 50)]
    )
    def test_less_evidence_is_enough_where_there_are_few_rows(
        self, given: int | None, rows_per_hour: float, enough: float
    ) -> None:
        limits = LIMITS.model_copy(update={"rollback_rows": given})
        for rollout in (changed(canary(), limits=limits), changed(promoted(), limits=limits)):
            ended = take(rollout, NOW, rows_for_base={NEW: enough}, rows_per_hour=rows_per_hour)
            assert taken(ended) in ("gave_up", "rolled_back")
            assert nothing(rollout, NOW, rows_for_base={NEW: enough - 0.1}, rows_per_hour=rows_per_hour)


class TestPromoted:
    def test_it_stays_while_its_rows_do_not_move(self) -> None:
        assert nothing(promoted(), NOW, windows={NEW: quiet(NOW)})
        assert nothing(promoted(), NOW, windows={NEW: quiet(NOW, accuracy(0.7)), BASE: alarm(NOW)})

    @pytest.mark.parametrize("of", [promoted, lambda: collecting(promoted()), lambda: shadow_of_another()])  # noqa: PLW0108 - it is defined below
    def test_it_is_rolled_back_at_once_where_it_is_worse_than_promised(self, of: Any) -> None:
        rollout = of()
        step = take(rollout, NOW, windows={NEW: alarm(NOW, accuracy(0.8))}, job=ObservedJob())

        state = auto_of(step.rollout)
        assert (taken(step), state.phase, state.served, state.promoted_at) == ("rolled_back", "watching", BASE, None)
        assert (step.rollout.default, step.rollout.shadow, step.rollout.canary) == (BASE, None, None)
        assert step.cancel == auto_of(rollout).job

    @pytest.mark.parametrize("of", [promoted, lambda: collecting(promoted()), lambda: shadow_of_another()])  # noqa: PLW0108 - it is defined below
    def test_it_is_rolled_back_at_once_where_its_rows_fit_the_base_better(self, of: Any) -> None:
        """Before a window is full, and whatever the last one has said."""
        rollout, limit = of(), 32.0
        step = take(rollout, NOW, windows={NEW: quiet(NOW)}, job=ObservedJob(), rows_for_base={NEW: limit})

        state = auto_of(step.rollout)
        assert (taken(step), state.phase, state.served, state.promoted_at) == ("rolled_back", "watching", BASE, None)
        assert (step.rollout.default, step.rollout.shadow, step.rollout.canary) == (BASE, None, None)
        assert state.log[-1].reason == "its latest rows fit version 1 better, by 32 rows in sum"
        assert step.cancel == auto_of(rollout).job
        assert nothing(
            rollout, NOW, windows={NEW: quiet(NOW)}, job=ObservedJob(), rows_for_base={NEW: limit - 0.1, NEWER: 31}
        )

    def test_the_base_is_not_rolled_back(self) -> None:
        assert nothing(watching(), NOW, windows={BASE: quiet(NOW)}, rows_for_base={BASE: 1000.0, NEW: 1000.0})

    def test_rows_that_were_still_being_collected_then_delay_no_attempt(self) -> None:
        worse = {NEW: alarm(START + MINUTE, accuracy(0.8))}
        ended = take(collecting(promoted()), START + MINUTE, windows=worse, job=ObservedJob()).rollout
        compared = ObservedJob(is_finished=True, base=GOOD, served=GOOD, candidate=GOOD)
        tried = take(collecting(promoted()), START + MINUTE, job=compared).rollout

        soon = START + 2 * MINUTE
        assert taken(take(ended, soon, windows={BASE: alarm(soon)})) == "collecting"
        assert nothing(tried, soon, windows={BASE: alarm(soon)})

    def test_it_is_not_where_the_intervals_meet(self) -> None:
        found = accuracy(0.86)
        assert found.high > GOOD.low

        assert taken(take(promoted(), NOW, windows={NEW: alarm(NOW, found)})) == "collecting"

    def test_it_is_rolled_back_where_its_rows_moved_and_nothing_is_estimated(self) -> None:
        assert taken(take(promoted(), NOW, windows={NEW: moved(NOW, None)})) == "rolled_back"
        assert nothing(promoted(), NOW, windows={NEW: quiet(NOW, None)})

    def test_where_its_rows_move_it_is_compared(self) -> None:
        assert nothing(promoted(), START + 10 * MINUTE - 1, windows={NEW: moved(START + 9 * MINUTE)})
        step = take(promoted(), START + 10 * MINUTE, windows={NEW: moved(START + 9 * MINUTE)})

        assert (taken(step), step.rollout.default) == ("collecting", NEW)

    def test_the_base_answers_again_unless_the_other_is_better(self) -> None:
        job = ObservedJob(is_finished=True, reason="not better", base=GOOD, served=GOOD, candidate=GOOD)

        assert taken(take(collecting(promoted()), NOW, job=job)) == "rolled_back"
        assert taken(take(collecting(promoted()), NOW, job=replace(job, served=None))) == "rolled_back"
        assert taken(take(collecting(promoted()), NOW, job=None)) == "rolled_back"
        stays = take(collecting(promoted()), NOW, job=replace(job, base=BAD))
        assert (taken(stays), stays.rollout.default) == ("gave_up", NEW)

    def test_a_version_that_is_better_still_takes_its_place(self) -> None:
        best = accuracy(0.99, half=0.02)
        job = ObservedJob(is_finished=True, published=NEWER, base=BAD, served=accuracy(0.8), candidate=best)
        tried = take(collecting(promoted()), NOW, job=job).rollout
        assert (tried.default, tried.shadow) == (NEW, NEWER)

        tried = take(tried, NOW + 1, trial=ObservedTrial(100)).rollout
        windows = {NEW: moved(NOW + 2, accuracy(0.8)), NEWER: quiet(NOW + 2, best)}
        # What it was promoted with is 0.95; 0.8 would be rolled back at once.
        tried = changed(tried, promise=accuracy(0.8))
        step = take(tried, NOW + 2, windows=windows, trial=ObservedTrial(200))
        assert (taken(step), step.rollout.default, auto_of(step.rollout).base) == ("promoted", NEWER, BASE)

    def test_a_trial_that_fails_leaves_it(self) -> None:
        step = take(shadow_of_another(), NOW, trial=ObservedTrial(10, errors=2))

        assert (taken(step), step.rollout.default, step.rollout.shadow) == ("gave_up", NEW, None)

    def test_an_early_roll_back_is_a_failure(self) -> None:
        def failures(after: float) -> int:
            now = START + after
            step = take(promoted(), now, windows={NEW: alarm(now, BAD)})
            return auto_of(step.rollout).failures

        assert (failures(3 * HOUR - 1), failures(3 * HOUR)) == (1, 0)


def shadow_of_another() -> Rollout:
    found = changed(promoted(), phase="shadow", candidate=NEWER)
    return found.model_copy(update={"shadow": NEWER})


class TestOperator:
    @pytest.mark.parametrize("phase", ALL)
    @pytest.mark.parametrize(
        "action",
        [
            lambda rollout: rollout.promoted(9, rollout.default),
            lambda rollout: rollout.with_shadow(9, rollout.default),
            lambda rollout: rollout.with_canary(Canary(version=9, share=0.5), rollout.default),
            lambda rollout: rollout.model_copy(update={"canary": None, "shadow": 9}),
            lambda rollout: rollout.model_copy(update={"default": None}),
        ],
        ids=["promote", "shadow", "canary", "another shadow", "no default"],
    )
    def test_any_action_pauses_and_stays(self, phase: str, action: Any) -> None:
        acted = action(ALL[phase]())
        windows = {BASE: alarm(NOW), NEW: alarm(NOW)}
        step = take(acted, NOW, windows=windows, job=PUBLISHED, trial=ObservedTrial(1000))

        assert (taken(step), auto_of(step.rollout).phase) == ("paused", "paused")
        assert step.rollout.with_auto(None) == acted.with_auto(None)
        assert step.cancel == auto_of(acted).job
        assert nothing(step.rollout, NOW + 30 * DAY, windows=windows)

    def test_ending_its_canary_or_changing_its_share_does_too(self) -> None:
        for given in (None, Canary(version=NEW, share=0.5)):
            assert taken(take(canary().model_copy(update={"canary": given}), NOW)) == "paused"
        assert taken(take(shadow().model_copy(update={"shadow": None}), NOW)) == "paused"

    @pytest.mark.parametrize("phase", ALL)
    def test_labels_and_loaded_versions_are_no_contradiction(self, phase: str) -> None:
        """The control: what does not say which version answers pauses nothing."""
        assert nothing(ALL[phase]().with_label("mine", 7).with_loaded(8), NOW, job=ObservedJob())


class TestLimits:
    def test_attempts_have_a_least_time_between_them_that_doubles(self) -> None:
        def pause(failures: int) -> float:
            return (may_attempt_at(auto_of(watching(attempted_at=START, failures=failures))) - START) / MINUTE

        assert [pause(failures) for failures in (0, 1, 2, 3, 50)] == [10, 20, 40, 60, 60]

    def test_an_attempt_waits_for_it(self) -> None:
        tried = watching(attempted_at=START, failures=1, tried=BAD)

        assert nothing(tried, START + 20 * MINUTE - 1, windows={BASE: alarm(NOW)})
        assert not nothing(tried, START + 20 * MINUTE, windows={BASE: alarm(NOW)})

    @pytest.mark.parametrize(
        "window", [alarm(NOW, since=START + 1), alarm(NOW, accuracy(0.7))], ids=["a new alarm", "another accuracy"]
    )
    def test_another_shift_waits_for_no_earlier_failure(self, window: ObservedWindow) -> None:
        tried = watching(attempted_at=START, failures=4, tried=BAD)

        assert nothing(tried, START + 10 * MINUTE - 1, windows={BASE: window})
        assert not nothing(tried, START + 10 * MINUTE, windows={BASE: window})

    @pytest.mark.parametrize("was_moving", [True, False])
    def test_rows_that_were_still_moving_count_as_no_failure(self, was_moving: bool) -> None:
        job = ObservedJob(is_finished=True, reason="trend", was_moving=was_moving, base=BAD, candidate=GOOD)
        step = take(collecting(watching(failures=4)), START + MINUTE, job=job)

        assert (taken(step), auto_of(step.rollout).failures) == ("gave_up", 0 if was_moving else 5)
        assert nothing(step.rollout, START + 10 * MINUTE, windows={BASE: alarm(START + 10 * MINUTE)}) != was_moving

    def test_a_comparison_of_a_promoted_version_waits_as_well(self) -> None:
        compared = promoted(failures=1, tried=GOOD)
        late = START + 20 * MINUTE

        assert nothing(compared, late - 1, windows={NEW: moved(late - 1)})
        assert not nothing(compared, late, windows={NEW: moved(late)})
        assert not nothing(compared, late - 1, windows={NEW: moved(late - 1, accuracy(0.89))})

    def test_so_many_versions_are_published_in_a_day(self) -> None:
        full = watching(published=(START, START + HOUR))
        late = START + DAY - 1

        assert nothing(full, late, windows={BASE: alarm(late)})
        assert not nothing(full, late + 1, windows={BASE: alarm(late)})
        assert not nothing(watching(published=(START,)), late, windows={BASE: alarm(late)})

    def test_a_promoted_version_that_may_not_be_compared_any_more_today_is_rolled_back(self) -> None:
        full = promoted(published=(START, START))

        assert taken(take(full, NOW, windows={NEW: moved(NOW)})) == "rolled_back"
        assert nothing(full, NOW, windows={NEW: quiet(NOW)})

    def test_the_log_has_the_last_steps(self) -> None:
        rollout = watching()
        for count in range(100):
            now = START + count * DAY
            rollout = take(rollout, now, windows={BASE: alarm(now, since=now)}).rollout
            rollout = take(changed(rollout, job="id"), now, job=None).rollout

        assert len(auto_of(rollout).log) == MAX_LOG


@pytest.mark.parametrize("phase", ALL)
def test_a_state_survives_its_file(phase: str) -> None:
    assert parse(serialize(ALL[phase]()), "mlp") == ALL[phase]()


def test_whatever_is_observed_only_better_versions_are_promoted() -> None:
    """Random observations: the base or a promoted version answers, and the limits hold."""
    random = np.random.default_rng(3)
    rollout, now, seen = watching(), START, set[str]()
    published: list[float] = []
    for _ in range(20_000):
        now += float(random.exponential(10 * MINUTE))
        before = auto_of(rollout)
        windows = {version: _random_window(random, now) for version in range(1, 9)}
        newest = int(random.integers(2, 9))
        job = ObservedJob(
            bool(random.random() < 0.7), newest, "", *(_random_accuracy(random) for _ in range(3))
        )  # fmt: skip
        trial = ObservedTrial(int(random.integers(400)), int(random.random() < 0.05))
        observed = Observed(now, windows, job, trial)
        if before.phase == "collecting" and before.job is None:
            rollout = changed(rollout, job="id")
        step = next_step(rollout, observed)
        if step is None:
            continue
        rollout, after = step.rollout, auto_of(step.rollout)
        seen.add(taken(step))
        assert rollout.default == after.served
        if taken(step) == "promoted":
            one, other = windows[after.served].accuracy, windows[before.served].accuracy
            assert one is not None
            assert other is not None
            assert one.is_better_than(other)
            assert before.phase == "canary"
        else:
            assert after.served in {before.served, BASE}
        published += [now] * (before.phase == "collecting" and job.is_finished)
        assert sum(time > now - DAY for time in published) <= LIMITS.versions_per_day
        if taken(step) == "collecting" and before.attempted_at is not None:
            assert now - before.attempted_at >= 10 * MINUTE
    assert seen == {"collecting", "shadow", "canary", "promoted", "gave_up", "rolled_back"}


def _random_accuracy(random: np.random.Generator) -> AccuracyEstimate | None:
    return accuracy(float(random.random()), 0.1) if random.random() < 0.9 else None


def _random_window(random: np.random.Generator, now: float) -> ObservedWindow:
    is_alarm = bool(random.random() < 0.5)
    since = now - float(random.exponential(5 * MINUTE))
    return ObservedWindow(since, now, is_alarm, since, is_alarm, _random_accuracy(random))
