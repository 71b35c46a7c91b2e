"""The regression of accuracy on its signs, against another solver, and the interval against shifts not learned from."""

import numpy as np
import pytest
from scipy.optimize import minimize

from models.accuracy.estimator import Estimator, logit
from models.accuracy.logistic import LogisticRegression

MANY = 10**9
"""Rows: all of the traffic."""


def shifted(seed: int, count: int = 120, noise: float = 0.3) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Signs and accuracies of shifts, whose log odds are linear in the signs but for some noise."""
    random = np.random.default_rng(seed)
    signs = random.normal(size=(count, 2)) * [1.0, 3.0] + [0.5, -1.0]
    odds = 0.3 + 1.2 * signs[:, 0] + 0.4 * signs[:, 1] + noise * random.standard_normal(count)
    return signs, 1 / (1 + np.exp(-odds)), [f"kind {index % 8}" for index in range(count)]


def test_the_fit_is_that_of_a_general_optimizer() -> None:
    signs, accuracy, kinds = shifted(0)
    design = np.column_stack([np.ones(len(signs)), (signs - signs.mean(axis=0)) / signs.std(axis=0)])

    def loss(weights: np.ndarray) -> float:
        odds = design @ weights
        return float(np.mean(np.logaddexp(0, odds) - accuracy * odds) + 1e-3 * np.square(weights[1:]).sum())

    expected = minimize(loss, np.zeros(3), tol=1e-12).x

    np.testing.assert_allclose(Estimator.fit(signs, accuracy, kinds).regression.weights, expected, atol=1e-4)


def test_the_interval_covers_new_shifts_nine_times_of_ten() -> None:
    estimator = Estimator.fit(*shifted(1))
    signs, accuracy, _ = shifted(2, count=2000)

    found = [estimator.estimate(sign, MANY) for sign in signs]
    covered = np.mean([one.low <= true <= one.high for one, true in zip(found, accuracy, strict=True)])

    assert 0.83 < covered < 0.97
    assert np.abs([one.accuracy for one in found] - accuracy).mean() < 0.06
    # Those that are shuffled say nothing.
    assert np.abs([one.accuracy for one in found] - accuracy[::-1]).mean() > 0.2


def test_few_rows_widen_the_interval_by_their_sampling_error() -> None:
    """The accuracy of the traffic is within it, where that of the rows themselves is known nearly exactly."""
    exact = Estimator(LogisticRegression(np.zeros(1), np.ones(1), np.array([0.0, 1.0])), half_width=0.01)
    random = np.random.default_rng(6)

    def covered(rows: int, counted: int) -> float:
        found = random.binomial(rows, 0.5, 2000) / rows
        odds = np.log(found / (1 - found))
        estimates = [exact.estimate(np.array([sign]), counted) for sign in odds]
        return float(np.mean([one.low <= 0.5 <= one.high for one in estimates]))

    assert 0.87 < covered(64, 64) < 0.94
    assert 0.87 < covered(256, 256) < 0.94
    assert covered(64, MANY) < 0.2  # as if they were all of the traffic


def test_signs_that_say_nothing_widen_the_interval() -> None:
    signs, accuracy, kinds = shifted(3)
    informed = Estimator.fit(signs, accuracy, kinds)
    blind = Estimator.fit(np.random.default_rng(4).normal(size=signs.shape), accuracy, kinds)

    assert blind.half_width > 3 * informed.half_width


def test_an_estimate_is_a_share() -> None:
    estimator = Estimator.fit(*shifted(5))
    for sign in (np.array([20.0, 20.0]), np.array([-20.0, -20.0])):
        found = estimator.estimate(sign, MANY, scale=0.97)
        assert 0 <= found.low <= found.accuracy <= found.high <= 1
    assert estimator.estimate(np.array([20.0, 20.0]), MANY, scale=0.97).accuracy == pytest.approx(0.97, abs=0.01)


def test_log_odds_end_at_a_hundredth() -> None:
    assert logit(0.5) == 0
    assert [logit(1.0), -logit(0.0)] == pytest.approx([np.log(99)] * 2)
