"""Held-out rows of one class each, shifted or not."""

import numpy as np

from models.accuracy.shifts import shifts
from models.recalibration.one_class import MIN_ROWS, each_class, each_class_shifted

CLASSES = np.repeat([2, 0, 5], [MIN_ROWS + 3, MIN_ROWS, MIN_ROWS - 1])
ROWS = np.random.default_rng(0).normal(size=(len(CLASSES), 3, 4)).astype(np.float32)


def test_each_class_with_enough_rows_is_alone() -> None:
    first, second = each_class({"input": ROWS, "other": CLASSES}, CLASSES)

    np.testing.assert_array_equal(first["input"], ROWS[MIN_ROWS + 3 : 2 * MIN_ROWS + 3])
    np.testing.assert_array_equal(second["input"], ROWS[: MIN_ROWS + 3])
    assert set(first["other"]) == {0}
    assert set(second["other"]) == {2}


def test_classes_of_few_rows_have_none() -> None:
    assert list(each_class({"input": ROWS[:-1]}, np.arange(len(ROWS) - 1))) == []


def test_each_class_is_shifted_by_the_strongest_form_of_each_kind() -> None:
    found = [alone["input"] for alone in each_class_shifted({"input": ROWS}, CLASSES)]

    strongest = dict(shifts(ROWS))  # those of a kind follow each other, from mild to strong
    assert len(found) == 2 * (1 + len(strongest))
    np.testing.assert_array_equal(found[1], ROWS[CLASSES == 2])
    for kind, (_, second) in zip(strongest, zip(found[2::2], found[3::2], strict=True), strict=True):
        np.testing.assert_array_equal(second, strongest[kind][CLASSES == 2])
        assert not np.array_equal(second, ROWS[CLASSES == 2])
