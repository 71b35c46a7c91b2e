"""Entropies of predicted classes, against all that could be drawn, and in closed form."""

from itertools import product

import numpy as np
import pytest

from models.accuracy.information import expected_entropy, mutual_information, relative_information


def test_expected_entropy_is_the_mean_over_all_that_could_be_drawn() -> None:
    share = np.array([0.5, 0.3, 0.2])
    total = 0.0
    for draw in product(range(3), repeat=6):
        found = np.bincount(draw, minlength=3) / 6
        present = found[found > 0]
        total += np.prod(share[list(draw)]) * -(present * np.log(present)).sum()

    assert expected_entropy(share, 6) == pytest.approx(total, abs=1e-12)
    assert expected_entropy(share, 6) < -(share * np.log(share)).sum() - 0.1  # few rows do not show all


def test_expected_entropy_tends_to_the_entropy() -> None:
    share = np.array([0.7, 0.2, 0.1, 0.0])
    assert expected_entropy(share, 4000) == pytest.approx(0.8018185525433373, abs=1e-3)
    assert expected_entropy(np.array([1.0, 0.0]), 100) == 0


def test_mutual_information_of_certain_rows_is_the_entropy_of_their_classes() -> None:
    certain = np.eye(4)[[0, 0, 1, 2]]

    assert mutual_information(certain) == pytest.approx(1.5 * np.log(2))
    assert mutual_information(np.full((4, 4), 0.25)) == pytest.approx(0)


def test_it_is_relative_to_that_of_the_reference_or_of_as_many_classes() -> None:
    one, other = np.array([[0.9, 0.1], [0.1, 0.9]]), np.array([[0.8, 0.2], [0.2, 0.8]])

    assert relative_information(one, other) == pytest.approx(mutual_information(one) / mutual_information(other))
    assert relative_information(np.eye(2), None) == pytest.approx(np.log(2) / expected_entropy(np.full(2, 0.5), 2))
    assert np.isnan(relative_information(one, np.array([[1.0, 0.0], [1.0, 0.0]])))
