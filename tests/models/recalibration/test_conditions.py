"""What decides how much the gates ask for: each with what it holds for, and what it must not hold for."""

import numpy as np

from models.manifest import AccuracyEstimate
from models.recalibration import conditions

CLASSES = np.tile(np.arange(10), 20)


def probabilities(share: float) -> np.ndarray:
    """Of rows of all classes, each of which gets this share."""
    found = np.full((len(CLASSES), 10), (1 - share) / 9)
    found[np.arange(len(CLASSES)), CLASSES] = share
    return found


def estimate(accuracy: float, half: float) -> AccuracyEstimate:
    return AccuracyEstimate(accuracy=accuracy, low=accuracy - half, high=accuracy + half)


LITTLE, SOME, MORE = probabilities(0.2), probabilities(0.6), probabilities(0.7)


def test_a_parent_is_lost_where_its_predictions_tell_little_and_no_mix_of_classes_is_the_reason() -> None:
    assert conditions.is_lost(LITTLE, SOME, drift=1.0, explainable=0.3)
    assert not conditions.is_lost(LITTLE, SOME, drift=0.2, explainable=0.3)
    assert not conditions.is_lost(SOME, SOME, drift=1.0, explainable=0.3)


def test_a_parent_is_mended_where_two_signs_say_so() -> None:
    before, after = estimate(0.2, 0.1), estimate(0.5, 0.15)

    assert conditions.is_mended(before, after, LITTLE, SOME)
    assert not conditions.is_mended(before, estimate(0.25, 0.03), LITTLE, SOME)
    assert not conditions.is_mended(before, estimate(0.5, 0.31), LITTLE, SOME), "not by less than it is certain of"
    assert not conditions.is_mended(before, after, SOME, MORE), "of no class: as informative as before"
