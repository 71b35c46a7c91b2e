"""Counting and stacking rows."""

import numpy as np
import pytest

from models.rows import count_rows, stack_rows


@pytest.mark.parametrize(("rows", "count"), [({}, 0), ({"a": np.zeros((0, 2))}, 0), ({"a": np.zeros((3, 2))}, 3)])
def test_rows_are_counted_along_the_first_axis(rows: dict[str, np.ndarray], count: int) -> None:
    assert count_rows(rows) == count


def test_single_rows_are_stacked_by_input() -> None:
    rows = [{"a": np.array([1.0, 2.0]), "b": np.array(3)}, {"a": np.array([4.0, 5.0]), "b": np.array(6)}]
    stacked = stack_rows(rows)

    np.testing.assert_array_equal(stacked["a"], [[1, 2], [4, 5]])
    np.testing.assert_array_equal(stacked["b"], [3, 6])
    assert count_rows(stacked) == 2
