"""The gates as arithmetic: each with what passes, and what must not."""

import numpy as np
import pytest

from models.manifest import AccuracyEstimate, Gate
from models.recalibration import gates


def counts(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


@pytest.mark.parametrize(("count", "passed"), [(2, False), (63, False), (64, True), (256, True)])
def test_few_rows_estimate_nothing(count: int, passed: bool) -> None:
    assert gates.rows(count).passed is passed


@pytest.mark.parametrize("rows", [64, 256])
def test_rows_of_all_classes_are_diverse_and_rows_of_a_few_are_not(rows: int) -> None:
    generator = np.random.default_rng(0)
    reference = counts(*[1000] * 10)

    for _ in range(200):
        drawn = np.bincount(generator.integers(0, 10, rows), minlength=10)
        assert gates.diversity(drawn, reference).passed
        assert gates.diversity(drawn).passed
    for classes in (1, 2, 5):
        few = np.bincount(generator.integers(0, classes, rows), minlength=10)
        assert not gates.diversity(few, reference).passed
        assert not gates.diversity(few).passed


def test_diversity_is_that_of_the_reference_not_of_a_uniform_one() -> None:
    rare = counts(950, 50)

    assert gates.diversity(counts(243, 13), rare).passed
    assert not gates.diversity(counts(243, 13)).passed
    assert not gates.diversity(counts(128, 128), rare).passed  # more of the rare class than there should be
    assert not gates.diversity(counts(256, 0), rare).passed


def test_a_reference_of_one_class_says_nothing_of_diversity() -> None:
    gate = gates.diversity(counts(10, 10), counts(50, 0))

    assert gate.figure is None
    assert not gate.passed


def test_many_classes_need_not_all_be_seen() -> None:
    drawn = np.bincount(np.random.default_rng(0).integers(0, 1000, 256), minlength=1000)

    assert gates.diversity(drawn).passed


def test_drift_must_fall() -> None:
    assert gates.drift(before=1.0, after=0.2).passed
    assert not gates.drift(before=0.2, after=1.0).passed
    assert not gates.drift(before=0.2, after=np.nan).passed


def test_agreement_is_beyond_chance() -> None:
    generator = np.random.default_rng(0)
    parent = generator.integers(0, 10, 256)
    mostly = np.where(generator.random(256) < 0.5, parent, generator.integers(0, 10, 256))

    assert gates.agreement(parent, parent).figure == 1
    assert gates.agreement(parent, mostly).passed
    assert not gates.agreement(parent, (parent + 1) % 10).passed
    assert gates.agreement(parent, generator.integers(0, 10, 256)).figure == pytest.approx(0, abs=0.1)
    # One class for everything agrees on as many rows as that class has.
    often = np.where(generator.random(256) < 0.9, 3, parent)
    assert np.mean(often == 3) > 0.8
    assert gates.agreement(often, np.full(256, 3)).figure == pytest.approx(0)
    assert gates.agreement(np.full(8, 1), np.full(8, 1)).passed


def test_kappa_as_in_the_book() -> None:
    """Cohen 1960: 20 + 15 of 50 agree, margins 25/25 and 30/20: kappa 0.4."""
    parent = np.repeat([0, 0, 1, 1], [20, 5, 10, 15])
    candidate = np.repeat([0, 1, 0, 1], [20, 5, 10, 15])

    assert gates.agreement(parent, candidate).figure == pytest.approx(0.4)


def test_accuracy_may_not_fall_beyond_chance() -> None:
    right = np.ones(100, bool)
    three_wrong, four_wrong = right.copy(), right.copy()
    three_wrong[:3] = four_wrong[:4] = False

    assert gates.accuracy(right, right).passed
    assert gates.accuracy(four_wrong, right).passed
    # One version has all of 3 rows by chance in one case of 8, and all of 4 in one of 16.
    assert gates.accuracy(right, three_wrong).passed
    assert not gates.accuracy(right, four_wrong).passed
    mixed = right.copy()
    mixed[3:10] = False
    gate = gates.accuracy(mixed, three_wrong)
    # Of 10 rows, it has 2 or fewer in 56 of 1,024 cases, and 3 or fewer in 176.
    assert gate.lower == pytest.approx((90 + 3) / 100)
    assert "of which only the new version has 7 right, and only the one that has answered 3" in gate.about


def test_outputs_stay_finite_and_of_their_size() -> None:
    usual = [np.array([[1.0, -2.0]]), np.array([0.5])]

    assert gates.growth(usual, usual).figure == 1
    assert gates.growth(usual, [np.array([19.0])]).passed
    for values in ([21.0], [1.0, np.nan], [np.inf]):
        assert not gates.growth(usual, [np.array(values), np.array([1.0])]).passed
    assert not gates.growth([np.zeros(3)], [np.ones(3)]).passed
    assert gates.growth([np.zeros(3)], [np.zeros(3)]).passed


def certain(classes: np.ndarray, confidence: float) -> np.ndarray:
    """Probabilities of ten classes."""
    probabilities = np.full((len(classes), 10), (1 - confidence) / 9)
    probabilities[np.arange(len(classes)), classes] = confidence
    return probabilities


def test_information_needs_rows_of_many_classes_and_each_of_one() -> None:
    classes = np.arange(200) % 10
    usual = certain(classes, 0.99)

    assert gates.information(usual, usual).figure == 1
    assert gates.information(certain(classes, 0.95), usual).passed
    assert gates.information(certain(classes, 0.95)).passed
    assert not gates.information(certain(classes, 0.6), usual).passed  # diverse, and undecided
    assert not gates.information(certain(np.full(200, 3), 0.99), usual).passed  # decided, and all the same
    assert gates.information(certain(np.full(200, 3), 0.99), usual).figure == pytest.approx(0, abs=1e-12)
    assert not gates.information(usual, certain(np.full(200, 3), 1.0)).passed  # the reference says nothing


def test_information_is_the_mutual_information() -> None:
    """Two rows, two classes: H(0.5, 0.5) - (H(0.9, 0.1) + H(0.1, 0.9)) / 2 = ln 2 - 0.3250830 nats."""
    gate = gates.information(np.array([[0.9, 0.1], [0.1, 0.9]]), np.array([[1.0, 0.0], [0.0, 1.0]]))

    assert gate.figure == pytest.approx((np.log(2) - 0.3250830) / np.log(2), abs=1e-6)


def test_a_drift_that_a_mix_of_classes_explains_is_no_drift_of_the_input() -> None:
    assert gates.label_shift(drift=1.0, unexplained=0.9).figure == pytest.approx(0.1)
    assert gates.label_shift(drift=1.0, unexplained=0.9).passed
    assert not gates.label_shift(drift=1.0, unexplained=0.4).passed
    assert gates.label_shift(drift=0.1, unexplained=0.5).figure == 0
    assert gates.label_shift(drift=0.001, unexplained=0.0).passed  # undisturbed, and of no quite usual mix
    assert gates.label_shift(drift=0.0, unexplained=0.0).passed


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        (0.8, "diversity 0.8 is below 0.9"),
        (1.234567, "diversity 1.23 is above 1.1"),
        (1.0, "diversity 1"),
        (None, "diversity is not a finite number"),
    ],
)
def test_a_gate_is_described_with_the_bound_that_it_misses(figure: float | None, words: str) -> None:
    gate = Gate(name="diversity", about="", figure=figure, lower=gates.MIN_DIVERSITY, upper=gates.MAX_DIVERSITY)

    assert gates.describe(gate) == words


def one_hot(classes: np.ndarray, certainty: float) -> np.ndarray:
    """Probabilities of ten classes, `certainty` for the one of each row."""
    shares = np.full((len(classes), 10), (1 - certainty) / 9)
    shares[np.arange(len(classes)), classes] = certainty
    return shares


USUAL = np.arange(200) % 10


def test_a_drift_that_vanishes_without_the_unusual_rows_is_of_a_mixture() -> None:
    assert gates.mixture(0.4, remaining=0.4, moved=None, count=256).passed
    assert gates.mixture(0.4, remaining=0.25, moved=None, count=256).passed
    assert not gates.mixture(0.4, remaining=0.02, moved=None, count=256).passed
    assert gates.mixture(0.01, remaining=0.001, moved=None, count=256).passed  # nothing has drifted


def test_where_half_of_the_rows_have_moved_they_are_a_mixture() -> None:
    assert gates.mixture(0.4, remaining=0.4, moved=0.9, count=256).passed
    assert gates.mixture(0.4, remaining=0.02, moved=0.9, count=256).passed  # together, to where rows look unusual
    assert gates.mixture(0.4, remaining=0.4, moved=0.7, count=256).passed
    assert not gates.mixture(0.4, remaining=0.02, moved=0.7, count=256).passed
    assert not gates.mixture(0.4, remaining=0.4, moved=0.5, count=256).passed
    assert gates.mixture(0.01, remaining=0.001, moved=0.5, count=256).passed
    assert gates.mixture(0.03, remaining=0.03, moved=0.5, count=64).passed  # so few rows drift as far by chance


def test_predictions_must_tell_no_less_of_the_rows_than_the_parents() -> None:
    sure, unsure = one_hot(USUAL, 0.99), one_hot(USUAL, 0.7)

    assert gates.gain(unsure, sure, sure).passed
    assert gates.gain(sure, sure, sure).figure == pytest.approx(0)
    assert not gates.gain(sure, unsure, sure).passed


def test_a_parent_that_is_as_sure_as_ever_must_be_agreed_with() -> None:
    usual = one_hot(USUAL, 0.99)
    changed = np.where(np.arange(200) < 20, (USUAL + 1) % 10, USUAL)

    assert gates.confident_agreement(usual, USUAL, usual).passed
    assert not gates.confident_agreement(usual, changed, usual).passed
    # One that has become unsure, or sure of one class for all rows, is not asked.
    assert gates.confident_agreement(one_hot(USUAL, 0.6), changed, usual).passed
    assert gates.confident_agreement(one_hot(np.zeros(200, np.int64), 0.99), changed, usual).passed


def test_less_diversity_is_enough_where_the_parent_is_lost() -> None:
    few = counts(4, 4, 4, 4, 4, 4, 0, 0, 0, 0)

    assert not gates.diversity(few).passed
    assert gates.diversity(few, is_lost=True).passed


def test_predictions_must_tell_more_than_those_of_rows_of_no_class() -> None:
    some, usual = one_hot(USUAL, 0.75), one_hot(USUAL, 0.99)
    figure = gates.information(some, usual).figure
    assert figure is not None
    assert 0.3 < figure < 0.75

    assert gates.information(some, usual, joined=figure - 0.01).passed
    assert not gates.information(some, usual, joined=figure + 0.01).passed
    # However little those tell, and however much.
    assert gates.information(some, usual, joined=0.1).lower == 0.3
    assert gates.information(usual, usual, joined=1.0).passed


def test_less_information_is_enough_where_the_parent_is_mended() -> None:
    little, some, usual = one_hot(USUAL, 0.2), one_hot(USUAL, 0.65), one_hot(USUAL, 0.99)

    assert not gates.information(some, usual, joined=0.5).passed
    assert gates.information(some, usual, joined=0.5, one_class=0.0).passed
    assert not gates.information(little, usual, joined=0.5, one_class=0.0).passed


def test_where_the_parent_is_mended_rows_of_one_class_still_do_not_tell_enough() -> None:
    some, usual = one_hot(USUAL, 0.65), one_hot(USUAL, 0.99)

    assert gates.information(some, usual, joined=0.5, one_class=0.2).lower == pytest.approx(0.35)
    assert gates.information(some, usual, joined=0.5, one_class=0.45).lower == 0.45
    # Never more than where nothing is mended.
    assert gates.information(some, usual, joined=0.5, one_class=0.7).lower == 0.5
    assert gates.information(some, usual, joined=0.5, one_class=np.inf).lower == 0.5


def test_the_estimated_accuracy_may_not_fall() -> None:
    def estimate(accuracy: float) -> AccuracyEstimate:
        return AccuracyEstimate(accuracy=accuracy, low=accuracy - 0.1, high=min(accuracy + 0.1, 1.0))

    assert gates.estimated_gain(estimate(0.5), estimate(0.9)).passed
    assert gates.estimated_gain(estimate(0.97), estimate(0.96)).passed
    assert not gates.estimated_gain(estimate(0.97), estimate(0.9)).passed


def test_rows_must_have_stopped_moving() -> None:
    assert gates.trend(drift=1.0, between=0.1, by_chance=0.05).figure == 0
    assert gates.trend(drift=1.0, between=0.4, by_chance=0.1).passed
    assert not gates.trend(drift=1.0, between=0.9, by_chance=0.1).passed
    assert gates.trend(drift=0.02, between=0.1, by_chance=0.05).passed  # few rows differ by as much
    assert gates.trend(drift=0.0, between=0.0, by_chance=0.0).passed


def test_only_the_gate_trend_says_that_rows_were_still_moving() -> None:
    moving, settled, few = gates.trend(1.0, 0.9, 0.1), gates.trend(1.0, 0.3, 0.1), gates.rows(1)
    assert (moving.passed, settled.passed, few.passed) == (False, True, False)

    assert gates.is_moving([settled, moving])
    assert not gates.is_moving([settled, few])
