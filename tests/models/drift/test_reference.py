"""What held-out rows let a layer expect: `models.drift.reference`, against averages and standard errors by hand."""

from dataclasses import replace

import numpy as np
import pytest

from models.drift.directions import Directions
from models.drift.reference import ClassConditionalMoments, ExpectedMoments, Usual, floor_spread
from models.observation import RowStatistics
from tests.models.drift.population import CLASSES, population, reference


def first_layer(rows: int = 500) -> tuple[RowStatistics, np.ndarray]:
    found, labels = population(rows, seed=0)
    return found["first"], labels


def test_expected_moments_are_averages_and_standard_deviations_over_rows() -> None:
    rows, _ = first_layer()
    expected = ExpectedMoments.of_rows(rows)

    np.testing.assert_allclose(expected.mean, rows.mean.mean(axis=0))
    np.testing.assert_allclose(expected.square_spread, rows.mean_square.std(axis=0))
    np.testing.assert_allclose(expected.variance, rows.mean_square.mean(axis=0) - rows.mean.mean(axis=0) ** 2)


def test_the_manifest_gives_back_what_the_rows_gave() -> None:
    rows, _ = population(4000, seed=0)
    given, again = ExpectedMoments.of_rows(rows["first"]), ExpectedMoments.of_layer(reference().layers["first"])

    for name in ("mean", "mean_square", "mean_spread", "square_spread"):
        np.testing.assert_allclose(getattr(again, name), getattr(given, name), rtol=1e-6)


def test_the_class_conditional_moments_of_the_manifest_are_those_of_the_rows() -> None:
    rows, labels = population(4000, seed=0)
    classes = reference().classes
    given = ClassConditionalMoments.of_rows(rows["second"], np.eye(CLASSES)[labels])
    again = ClassConditionalMoments.of_layer(classes.layers["second"], classes.counts)

    np.testing.assert_array_equal(given.counts, np.bincount(labels))
    np.testing.assert_array_equal(again.counts, given.counts)
    np.testing.assert_allclose(given.mean[2], rows["second"].mean[labels == 2].mean(axis=0), rtol=1e-9)
    for name in ("mean", "mean_square", "mean_variance", "square_variance"):
        np.testing.assert_allclose(getattr(again, name), getattr(given, name), rtol=1e-4)


def test_the_statistic_of_a_window_is_the_largest_of_its_relative_figures() -> None:
    expected = ExpectedMoments.standard(2)
    mean, mean_square = np.array([0.3, 0.0]), np.array([1.09, 1.0])  # one channel of two has moved by 0.3
    kl = np.mean([0.3**2 / 2, 0])

    assert expected.figures(mean, mean_square).deviation == pytest.approx(0.3)
    np.testing.assert_allclose(expected.symmetric_kl(mean, mean_square), [2 * kl, 0], atol=1e-15)
    np.testing.assert_allclose(expected.wasserstein_squared(mean, mean_square), [0.09, 0], atol=1e-15)
    assert expected.statistic(mean, mean_square, 0.1, Usual(2.0, 1000.0)) == pytest.approx(0.3 / 0.1 / 2)
    assert expected.statistic(mean, mean_square, 0.1, Usual(2000.0, 5.0)) == pytest.approx(kl / 0.01 / 5)
    along = replace(expected, directions=Directions(np.array([0]), np.array([[2.0, 1.0]])))  # of one channel
    usual = Usual(2000.0, 1000.0, 4.0)
    assert along.statistic(mean, mean_square, 0.1, usual) == pytest.approx((2 * 0.3 + 0.09) ** 2 / 0.01 / 4)
    assert along.statistic(mean, mean_square, 0.1, usual.of_windows(16)) > 1
    assert along.statistic(mean, mean_square, 0.1, usual.of_windows(1)) < 0.01  # single rows: without directions
    assert along.statistic(np.array([np.inf, 0]), mean_square, 0.1, usual) == np.inf


def test_what_rows_let_expect_has_directions_if_these_are_asked_for() -> None:
    rows, _ = first_layer(500)
    expected = ExpectedMoments.of_rows(rows, 2)
    window = rows.mean[:50].mean(axis=0), rows.mean_square[:50].mean(axis=0)
    off = [(np.mean(one[:50], axis=0) - one.mean(axis=0)) / one.std(axis=0) for one in (rows.mean, rows.mean_square)]

    assert ExpectedMoments.of_rows(rows).directions is None
    assert expected.directions is not None
    squared = np.square(expected.directions.weights @ np.concatenate(off)).sum()
    assert expected.figures(*window).t_squared == pytest.approx(squared)
    assert squared > 0
    assert expected.figures(*window, along_directions=False).t_squared == 0


def test_rows_of_the_classes_that_a_window_has_deviate_as_their_standard_error_says() -> None:
    rows, labels = first_layer(4000)
    given = ClassConditionalMoments.of_rows(rows, np.eye(CLASSES)[labels])
    random = np.random.default_rng(1)
    of_one = np.flatnonzero(labels == 1)
    shares = np.eye(CLASSES)[1]

    def statistic(pick: np.ndarray, shares: np.ndarray) -> float:
        return float(given.statistic(rows.mean[pick].mean(axis=0), rows.mean_square[pick].mean(axis=0), shares, 50))

    explained = [statistic(random.choice(of_one, 50, replace=False), shares) for _ in range(50)]
    others = [statistic(random.choice(of_one, 50, replace=False), np.eye(CLASSES)[3]) for _ in range(50)]

    assert np.mean(explained) < 3  # the largest of twelve standard normal deviations
    assert min(others) > max(explained)


def test_a_channel_that_hardly_varies_is_not_infinitely_sensitive() -> None:
    np.testing.assert_allclose(floor_spread([2.0, 1.0, 1e-9]), [2.0, 1.0, 1e-3])
    assert (floor_spread([0.0, 0.0]) > 0).all()
    assert (ExpectedMoments.of_rows(RowStatistics(np.ones((9, 2)), np.ones((9, 2)))).variance > 0).all()
