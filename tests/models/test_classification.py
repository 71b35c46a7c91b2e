"""Probabilities and predicted classes: `models.classification`, against scipy and plain counting."""

import numpy as np
import pytest
from scipy import special

from models.classification import count_classes, predicted_classes, probabilities, softmax

SCORES = np.random.default_rng(0).normal(0, 5, size=(40, 7))


def test_softmax_is_that_of_scipy_along_the_last_axis() -> None:
    np.testing.assert_allclose(softmax(SCORES), special.softmax(SCORES, axis=-1), rtol=1e-12)
    np.testing.assert_allclose(softmax(SCORES[0]), special.softmax(SCORES[0]), rtol=1e-12)
    assert not np.allclose(softmax(SCORES), special.softmax(SCORES, axis=0))


def test_large_logits_do_not_overflow() -> None:
    np.testing.assert_allclose(softmax(np.array([1e4, 1e4, -1e4])), [0.5, 0.5, 0.0])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8])
def test_logits_become_probabilities_in_float64(dtype: type) -> None:
    found = probabilities(SCORES.astype(dtype), "logits")

    assert found.dtype == np.float64
    np.testing.assert_allclose(found, special.softmax(SCORES.astype(dtype).astype(np.float64), axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-12)


def test_probabilities_stay_as_they_are() -> None:
    given = np.array([[0.2, 0.7], [0.5, 0.1]], np.float32)  # not adding up to 1 is the network's business

    np.testing.assert_array_equal(probabilities(given, "probabilities"), given.astype(np.float64))


def test_the_largest_score_is_the_class_and_of_equal_ones_the_first() -> None:
    assert predicted_classes(np.array([[1, 3, 2], [5, 4, 5], [-2, -2, -1]])).tolist() == [1, 0, 2]
    assert predicted_classes(SCORES).dtype == np.int64
    assert predicted_classes(np.zeros((0, 3))).tolist() == []


def test_every_class_is_counted_also_those_without_rows() -> None:
    assert count_classes(np.array([2, 0, 2]), 4).tolist() == [1, 0, 2, 0]
    assert count_classes(np.zeros(0, np.int64), 3).tolist() == [0, 0, 0]
