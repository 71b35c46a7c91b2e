"""The largest difference between two runs."""

from typing import Any

import numpy as np
import pytest

from models.errors import ParityError
from models.parity.comparison import compare

EXPECTED = np.array([[1.0, -200.0]])


def compared(actual: Any, expected: Any = EXPECTED, tolerance: float = 1e-3) -> tuple[float, float]:
    pairs = [({"y": np.asarray(expected)}, {"y": np.asarray(actual)})]
    found = compare("a", "b", pairs, {"y": tolerance})
    assert (found.reference, found.candidate) == ("a", "b")
    return found.max_absolute, found.max_relative


def test_a_difference_counts_relative_to_the_largest_value_of_the_output() -> None:
    absolute, relative = compared([[1.1, -200.0]])

    assert absolute == pytest.approx(0.1)
    assert relative == pytest.approx(0.1 / 200)
    with pytest.raises(ParityError, match=r"b differs from a: 'y' by 0\.3, which is 0\.0015 of .* \(0\.001 is allowed"):
        compared([[1.3, -200.0]])


def test_among_zeros_it_counts_as_it_is() -> None:
    assert compared([[1e-4, 0.0]], [[0.0, 0.0]]) == (1e-4, 1e-4)


def test_the_largest_of_all_pairs_and_outputs_is_kept() -> None:
    small = ({"y": np.ones(2), "z": np.ones(2)}, {"y": np.ones(2), "z": np.full(2, 1.01)})
    large = ({"y": np.full(2, 100.0), "z": np.ones(2)}, {"y": np.full(2, 100.5), "z": np.ones(2)})

    found = compare("a", "b", [small, large], {"y": 0.1, "z": 0.1})

    assert (found.max_absolute, found.max_relative) == (pytest.approx(0.5), pytest.approx(0.01))
    assert found.share_of_tolerance == pytest.approx(0.1)


def test_every_tensor_has_its_own_tolerance() -> None:
    pair = ({"y": np.ones(2), "z": np.ones(2)}, {"y": np.full(2, 1.01), "z": np.full(2, 1.001)})

    found = compare("a", "b", [pair], {"y": 0.02, "z": 0.002})

    assert (found.max_relative, found.share_of_tolerance) == (pytest.approx(0.01), pytest.approx(0.5))
    with pytest.raises(ParityError, match="'z'"):
        compare("a", "b", [pair], {"y": 0.02, "z": 0.0005})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_never_equal(value: float) -> None:
    for expected, actual in (([[value]], [[value]]), ([[1.0]], [[value]]), ([[value]], [[1.0]])):
        with pytest.raises(ParityError):
            compared(actual, expected)


def test_text_is_equal_or_not() -> None:
    words = np.array([["a", "b"]], object)

    assert compared(words.copy(), words) == (0.0, 0.0)
    with pytest.raises(ParityError, match="'y' by 1"):
        compared(np.array([["a", "c"]], object), words)


def test_another_shape_is_named() -> None:
    with pytest.raises(ParityError, match=r"b: 'y' has shape \(2,\) where a has \(1, 2\)"):
        compared([1.0, -200.0])
