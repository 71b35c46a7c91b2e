"""Alarms open at the stated rate, persist, and close without flapping: `models.drift.alarm_rule`."""

import itertools
from collections.abc import Iterable

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import norm

from models.accuracy.agreement import CurrentAccuracy
from models.drift.alarm_course import MAX_COURSES, NO_ALARMS, AlarmState
from models.drift.alarm_rule import QUIET_WINDOWS, SECONDS_PER_DAY, AlarmRule
from models.drift.assessment import Assessment, ClassShift, LayerShift
from models.drift.calibration import RATES
from tests.models.drift.population import reference

RATE = 0.01
BY_WINDOW = AlarmRule.at(reference(), RATE, None)


def window(p: float, accuracy: CurrentAccuracy | None = None, **figures: object) -> Assessment:
    verdict = "covariate_shift" if p <= RATE else "quiet"
    found = Assessment(64, verdict, 2.0, 1.0, p <= RATE, 0.1, 0.1, {}, accuracy=accuracy, p_value=p)
    return found.__class__(**{**vars(found), **figures})


def follow(
    rule: AlarmRule, windows: Iterable[Assessment], seconds: float = 100.0, block_windows: int = 1
) -> list[AlarmState]:
    states, at = [NO_ALARMS], 0.0
    for found in windows:
        states.append(rule.next(states[-1], found, at, at + seconds, block_windows))
        at += seconds
    return states[1:]


def open_flags(rule: AlarmRule, *p_values: float) -> list[bool]:
    return [state.open is not None for state in follow(rule, map(window, p_values))]


def measured(p: np.ndarray) -> list[float]:
    """The smallest measured rate that each p-value is within."""
    return [min((rate for rate in RATES if value <= rate), default=1.0) for value in p]


def test_a_window_that_has_not_moved_has_evidence_of_one_at_most_on_average() -> None:
    steps = sorted([1.0, *BY_WINDOW.rates])
    shares = np.diff([0.0, *steps])  # of the p-values that are known as this step
    mean = sum(share * BY_WINDOW.evidence(window(p)) for share, p in zip(shares, steps, strict=True))

    assert mean == pytest.approx(1)
    assert [BY_WINDOW.evidence(window(p)) > 1 for p in (0.05, 0.02, 0.01, 0.001)] == [False, False, True, True]


@pytest.mark.parametrize("windows_per_day", [20, 200])
def test_false_alarms_are_at_most_one_in_the_stated_days_however_fast_rows_come(windows_per_day: int) -> None:
    days = 5.0
    rule = AlarmRule.at(reference(), RATE, days)
    p = np.random.default_rng(1).random(20_000)

    def count(values: np.ndarray) -> int:
        states = follow(rule, map(window, measured(values)), SECONDS_PER_DAY / windows_per_day)
        return sum(
            after.open is not None and before.open is None for before, after in itertools.pairwise([NO_ALARMS, *states])
        )

    expected = len(p) / windows_per_day / days
    assert 0 < count(p) <= expected
    assert count(p / 10) > expected  # p-values that are too small break it


def test_windows_that_resemble_their_neighbours_keep_the_rate_in_blocks() -> None:
    days, windows_per_day, correlation = 5.0, 400, 0.7
    rule = AlarmRule.at(reference(), RATE, days)
    steps = np.random.default_rng(2).normal(size=30_000)
    values = lfilter([np.sqrt(1 - correlation**2)], [1, -correlation], steps)
    windows = [window(p) for p in measured(norm.sf(values))]

    def count(block_windows: int) -> int:
        states = [NO_ALARMS, *follow(rule, windows, SECONDS_PER_DAY / windows_per_day, block_windows)]
        return sum(after.open is not None and before.open is None for before, after in itertools.pairwise(states))

    expected = len(windows) / windows_per_day / days
    assert count(6) <= expected  # (1 + 0.7) / (1 - 0.7) windows count as one
    assert count(1) > 1.5 * expected


def test_an_alarm_opens_as_soon_as_the_full_block_is_certain_to_open_it() -> None:
    rule = AlarmRule.at(reference(), RATE, 7.0)

    def opened(*p: float) -> int | None:
        states = follow(rule, map(window, p), block_windows=4)
        return next((number for number, state in enumerate(states, 1) if state.open is not None), None)

    assert opened(*[0.001] * 8) == 5
    assert opened(1, 1, 1, 0.001, 0.001) == 5  # the first block has moved as well, at its end
    assert opened(0.001, *[1] * 20, 0.001, 1, 1) is None


def test_a_significant_window_closes_nothing_where_its_p_value_is_not_known_to_last() -> None:
    unsure = window(1, verdict="covariate_shift")

    *_, last = follow(BY_WINDOW, [window(0.001), *[unsure] * 2 * QUIET_WINDOWS])

    assert last.open is not None


def test_a_clear_shift_opens_an_alarm_by_week_within_two_windows() -> None:
    by_week = AlarmRule.at(reference(), RATE, 7.0)

    assert open_flags(BY_WINDOW, 1, 0.01) == [False, True]
    assert open_flags(by_week, 1, 0.001, 0.001) == [False, False, True]
    assert open_flags(by_week, 1, 0.01, 1, 1, 0.01, 1) == [False] * 6


def test_an_alarm_closes_after_quiet_windows_one_after_the_other() -> None:
    for rule in (BY_WINDOW, AlarmRule.at(reference(), RATE, 7.0)):
        began = [0.001, 0.001, 0.001]
        flapping = open_flags(rule, *began, *([1, 1, 0.005] * 10))
        assert all(flapping[2:])
        ended = open_flags(rule, *began, *([1] * QUIET_WINDOWS))
        assert ended[2:] == [True] * QUIET_WINDOWS + [False]


def test_no_alarm_opens_with_a_window_that_shows_nothing_however_long_the_time_before_it() -> None:
    rule = AlarmRule.at(reference(), RATE, 7.0)

    assert rule.next(NO_ALARMS, window(1), 0.0, 1000 * SECONDS_PER_DAY).open is None
    assert rule.next(NO_ALARMS, window(0.01), 0.0, 1000 * SECONDS_PER_DAY).open is not None


def accuracy(value: float) -> CurrentAccuracy:
    return CurrentAccuracy(value, value - 0.1, value + 0.1, 0.98, 64)


def test_the_course_has_start_peak_end_first_layer_and_classes() -> None:
    quiet, loud = (LayerShift(2.0, 1.0, significant, 0.1, 0.1, ()) for significant in (False, True))
    classes = [ClassShift(2.0, 1.0, True, 0.3, False, unusual=unusual) for unusual in ((1,), (3, 4), (5,))]
    worse = [
        window(0.001, accuracy(value), classes=shift) for value, shift in zip((0.8, 0.6, 0.7), classes, strict=True)
    ]
    first = window(0.01, accuracy(0.9), layers={"a": quiet, "b": loud, "c": loud})

    *_, last_open, _, _, closed = follow(BY_WINDOW, [window(1), first, *worse, *[window(1, accuracy(0.98))] * 3])

    assert last_open.open is not None
    (course,) = closed.courses
    assert (course.began, course.ended, course.windows) == (200.0, 800.0, 7)
    assert (course.peak.at, course.peak.accuracy, course.peak.significance) == (400.0, accuracy(0.6), 2.0)
    assert (course.first_layer, course.classes) == ("b", (3, 4))
    assert closed.open is None
    assert list(closed.since(800.0)) == [course]
    assert list(closed.since(801.0)) == []


def test_without_an_estimate_the_peak_is_the_most_significant_window() -> None:
    *_, last = follow(BY_WINDOW, [window(0.001, statistic=value) for value in (3.0, 9.0, 5.0)])

    assert last.open is not None
    assert (last.open.peak.significance, last.open.peak.at) == (9.0, 200.0)


def test_the_last_alarms_are_remembered() -> None:
    *_, last = follow(BY_WINDOW, [window(p) for _ in range(MAX_COURSES + 2) for p in (0.001, 1, 1, 1)])

    assert len(last.courses) == MAX_COURSES
    assert last.courses[0].began == 900.0
