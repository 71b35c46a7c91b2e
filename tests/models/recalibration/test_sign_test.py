"""The exact sign test, against scipy's binomial test: `models.recalibration.sign_test`."""

import itertools

import numpy as np
import pytest
from scipy.stats import binomtest

from models.recalibration.sign_test import BETTER_LEVEL, WORSE_LEVEL, SignTest

PAIRS = [*itertools.product(range(13), range(13)), (24, 17), (23, 18), (2080, 2016), (2048, 2048)]


def is_beyond_chance(new: int, old: int, level: float, alternative: str = "greater") -> bool:
    count = new + old
    return count > 0 and binomtest(new, count, 0.5, alternative=alternative).pvalue <= level * (1 + 1e-9)


@pytest.mark.parametrize(("new", "old"), PAIRS)
def test_a_version_is_better_where_the_binomial_test_says_so(new: int, old: int) -> None:
    test = SignTest(new, old)

    assert test.is_better == is_beyond_chance(new, old, BETTER_LEVEL)
    assert (new < test.least_new) == is_beyond_chance(old, new, WORSE_LEVEL), "worse: better the other way round"


def test_another_test_says_something_else() -> None:
    assert any(SignTest(*pair).is_better != is_beyond_chance(*pair, BETTER_LEVEL, "two-sided") for pair in PAIRS)


def test_only_rows_that_one_version_has_right_count() -> None:
    old = np.array([True, True, False, False, False])
    new = np.array([True, False, True, True, False])

    assert SignTest.of(old, new) == SignTest(new=2, old=1)
    assert SignTest.of(old, old) == SignTest(0, 0)
    assert not SignTest(0, 0).is_better
