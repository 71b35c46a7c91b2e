"""The verdict that follows from the figures: `models.drift.assessment`."""

from typing import get_args

import pytest

from models.accuracy.agreement import CurrentAccuracy
from models.drift.assessment import (
    LARGE_CLASS_DISTANCE,
    LARGE_KL,
    LARGE_WASSERSTEIN,
    Assessment,
    ClassShift,
    LayerShift,
    Verdict,
    decide,
)


def layer(symmetric_kl: float = 0.0, wasserstein: float = 0.0) -> LayerShift:
    return LayerShift(2.0, 1.0, True, symmetric_kl, wasserstein, ())


def classes(
    distance: float | None, *, significant: bool | None = True, explains_shift: bool | None = True
) -> ClassShift:
    return ClassShift(2.0, 1.0, significant, distance, explains_shift)


SMALL, LARGE = layer(LARGE_KL - 1e-9, LARGE_WASSERSTEIN - 1e-9), layer(LARGE_KL)
OTHERS = classes(LARGE_CLASS_DISTANCE)


@pytest.mark.parametrize(
    ("layers", "classes", "significant", "verdict"),
    [
        ([SMALL, LARGE], None, True, "covariate_shift"),
        ([SMALL, layer(wasserstein=LARGE_WASSERSTEIN)], None, True, "covariate_shift"),
        ([SMALL, SMALL], None, True, "quiet"),
        ([SMALL, LARGE], None, False, "quiet"),
        ([], None, True, "quiet"),
        ([SMALL], OTHERS, True, "label_shift_likely"),
        ([SMALL], OTHERS, False, "quiet"),
        ([SMALL], classes(LARGE_CLASS_DISTANCE - 1e-9), True, "quiet"),
        ([SMALL], classes(1.0, significant=False), True, "quiet"),
        ([SMALL], classes(None), True, "quiet"),
        ([SMALL], classes(1.0, explains_shift=False), True, "covariate_shift"),
        ([LARGE], classes(1.0, explains_shift=None), True, "covariate_shift"),
        ([LARGE], classes(0.0, significant=False), True, "covariate_shift"),
        ([LARGE], classes(0.0), True, "label_shift_likely"),
        ([LARGE], ClassShift(None, None, None, None, None), True, "covariate_shift"),
    ],
)
def test_an_alarm_needs_significance_and_size_and_classes_may_explain_it(
    layers: list[LayerShift], classes: ClassShift | None, significant: bool, verdict: Verdict
) -> None:
    named = {str(place): shift for place, shift in enumerate(layers)}

    assert decide(named, classes, significant=significant) == verdict


@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_every_verdict_has_words_and_the_shifts_are_alarms(verdict: Verdict) -> None:
    found = Assessment(100, verdict, 2.0, 1.0, True, 0.1, 0.1, {})

    assert found.message.endswith(".")
    assert found.alarm == ("shift" in verdict)


def test_a_significant_shift_that_is_small_says_so() -> None:
    small, none = (Assessment(100, "quiet", 2.0, 1.0, significant, 0.01, 0.01, {}) for significant in (True, False))

    assert "differ significantly" in small.message
    assert "close to" in none.message


LOWER, USUAL = CurrentAccuracy(0.94, 0.8, 1.0, 0.98, 256), CurrentAccuracy(0.96, 0.8, 1.0, 0.98, 256)


@pytest.mark.parametrize(
    ("layers", "classes", "significant", "accuracy", "verdict"),
    [
        ([LARGE], OTHERS, True, LOWER, "label_shift_likely"),
        ([LARGE], None, True, USUAL, "quiet"),
        ([SMALL], None, True, LOWER, "covariate_shift"),
        ([SMALL], None, False, LOWER, "quiet"),
        ([SMALL], OTHERS, True, USUAL, "label_shift_likely"),
        ([LARGE], classes(0.0), True, USUAL, "quiet"),
    ],
)
def test_where_the_accuracy_is_estimated_its_loss_is_the_size_of_a_shift(
    layers: list[LayerShift],
    classes: ClassShift | None,
    significant: bool,
    accuracy: CurrentAccuracy,
    verdict: Verdict,
) -> None:
    named = {str(place): shift for place, shift in enumerate(layers)}
    size = decide(named, classes, significant=significant)
    judged = Assessment(100, size, 2.0, 1.0, significant, 0.1, 0.1, named, classes)

    found = judged.with_accuracy(accuracy)

    assert (found.verdict, found.accuracy) == (verdict, accuracy)
    assert judged.with_accuracy(None) is judged
    assert found.message.endswith(str(accuracy))


def test_without_thresholds_the_accuracy_changes_no_verdict() -> None:
    uncalibrated = Assessment(100, "uncalibrated", None, None, None, 0.1, 0.1, {"0": LARGE})

    assert uncalibrated.with_accuracy(LOWER).verdict == "uncalibrated"


def test_a_significant_shift_that_costs_little_says_so() -> None:
    found = Assessment(100, "covariate_shift", 2.0, 1.0, True, 0.1, 0.1, {"0": LARGE}).with_accuracy(USUAL)

    assert "cost less accuracy" in found.message
    assert not found.alarm
