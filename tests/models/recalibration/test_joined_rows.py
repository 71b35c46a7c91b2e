"""Rows of no class, made of halves of rows of two classes."""

import numpy as np
import pytest

from models.recalibration.joined_rows import MIN_ROWS, join_halves


@pytest.mark.parametrize(("shape", "axis"), [((6,), 1), ((1, 4, 5), 3), ((6, 6, 3), 2), ((1, 9, 4), 2)])
def test_a_row_has_halves_of_rows_of_two_classes(shape: tuple[int, ...], axis: int) -> None:
    classes = np.arange(100) % 4
    rows = np.broadcast_to(classes.reshape(-1, *[1] * len(shape)), (100, *shape)).astype(np.float32)

    joined = join_halves({"input": rows}, classes)

    assert joined is not None
    assert joined["input"].shape[1:] == shape
    assert MIN_ROWS <= len(joined["input"]) < 100  # those of a pair of one class are left out
    found = np.moveaxis(joined["input"], axis, 1).reshape(len(joined["input"]), shape[axis - 1], -1)
    half = shape[axis - 1] // 2
    first, second = found[:, :half], found[:, half:]
    assert (first == first[:, :1, :1]).all()
    assert (second == second[:, :1, :1]).all()
    assert (first[:, 0, 0] != second[:, 0, 0]).all()


def test_inputs_of_a_row_are_joined_alike() -> None:
    rows = np.repeat(np.arange(100)[:, None], 4, axis=1)

    joined = join_halves({"one": rows, "other": -rows}, np.arange(100))

    assert joined is not None
    np.testing.assert_array_equal(joined["one"], -joined["other"])


@pytest.mark.parametrize(
    ("rows", "classes"),
    [
        (np.zeros((100, 4)), np.zeros(100, np.int64)),
        (np.zeros((100, 1)), np.arange(100)),
        (np.zeros((8, 4)), np.arange(8)),
    ],
    ids=["one class", "no halves", "few rows"],
)
def test_nothing_is_joined_where_nothing_would_be_known(rows: np.ndarray, classes: np.ndarray) -> None:
    assert join_halves({"input": rows}, classes) is None
