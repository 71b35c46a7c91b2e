"""The true accuracy has the interval that scipy computes, and adds up."""

import pytest
from scipy.stats import binomtest

from models.accuracy.labelled import NO_LABELS, Labelled


@pytest.mark.parametrize(("rows", "correct"), [(1, 0), (10, 10), (64, 60), (5000, 4900)])
def test_the_interval_is_that_of_wilson(rows: int, correct: int) -> None:
    found = Labelled(rows, correct).accuracy

    expected = binomtest(correct, rows).proportion_ci(0.9, "wilson")
    assert found is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert (found.value, found.rows) == (correct / rows, rows)
    wider = binomtest(correct, rows).proportion_ci(0.95, "wilson")
    assert found.high - found.low != pytest.approx(wider.high - wider.low, rel=0.05)


def test_rows_add_up_and_none_have_no_accuracy() -> None:
    assert Labelled(3, 2) + Labelled(4, 1) + NO_LABELS == Labelled(7, 3)
    assert NO_LABELS.accuracy is None
