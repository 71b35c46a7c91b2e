"""When one estimate is better than another."""

import pytest

from models.errors import VersionRefused
from models.manifest import AccuracyEstimate, AccuracyGain
from models.recalibration.observed import describe, require_better

SURE = AccuracyEstimate(accuracy=0.9, low=0.85, high=0.95)
UNSURE = AccuracyEstimate(accuracy=0.9, low=0.5, high=1.0)
WORSE = AccuracyEstimate(accuracy=0.6, low=0.55, high=0.65)


def test_the_whole_interval_has_to_be_above_the_other_estimate() -> None:
    assert SURE.is_better_than(WORSE)
    assert not UNSURE.is_better_than(WORSE)
    assert not WORSE.is_better_than(SURE)
    assert not SURE.is_better_than(SURE)


def test_what_is_not_better_or_not_known_is_refused() -> None:
    require_better(SURE, WORSE)
    for candidate, served in ((UNSURE, WORSE), (None, WORSE), (SURE, None), (None, None)):
        with pytest.raises(VersionRefused, match="the estimated accuracy is not better"):
            require_better(candidate, served)


def test_a_gain_above_nothing_is_enough() -> None:
    """Two versions that differ on few rows are told apart by these, not by two accuracies."""
    sure, unsure = (AccuracyGain(gain=0.03, low=low, high=0.06 - low) for low in (0.01, 0.0))

    require_better(UNSURE, SURE, sure)
    for candidate, gain in ((UNSURE, unsure), (UNSURE, None), (None, sure)):
        with pytest.raises(VersionRefused, match="not better"):
            require_better(candidate, SURE, gain)


def test_gains_from_different_rows_have_a_wider_difference() -> None:
    one, other = AccuracyGain(gain=0.05, low=0.02, high=0.08), AccuracyGain(gain=0.01, low=-0.03, high=0.05)

    found = one.less(other)

    assert (found.gain, found.low, found.high) == pytest.approx((0.04, 0.04 - 0.05, 0.04 + 0.05))  # 3, 4 and 5
    assert str(found) == "+4.0 points (-1.0 to +9.0)"


def test_an_estimate_is_described_in_percent() -> None:
    assert describe(SURE) == "90.0 % (85 to 95)"
    assert describe(None) == "not known"
