"""What a twin gains, by the rows on which it and the network disagree, against truth that is known."""

import numpy as np
import pytest
from scipy.optimize import minimize

from models.accuracy.agreement import Agreement
from models.accuracy.gain import MIN_SHIFTS, GainEstimator
from models.accuracy.logistic import LogisticRegression, log_odds

KINDS = [f"kind {index % 8}" for index in range(80)]


def shifts(seed: int, rows: int = 64, count: int = 80) -> tuple[list[Agreement], list[float], list[float]]:
    """Agreements, the gains on their rows, and on the traffic. The surer the twin is, the more often it is right."""
    random = np.random.default_rng(seed)
    found, gains, traffic = [], [], []
    for _ in range(count):
        share, sure = random.uniform(0.02, 0.7), random.normal(0.5, 1.5)
        right = 1 / (1 + np.exp(-sure))
        disagreed = int(random.binomial(rows, share))
        won = int(random.binomial(disagreed, right))
        found.append(Agreement(rows, rows - disagreed, 0.0, 0, 1.5 * rows, sure * disagreed))
        gains.append((2 * won - disagreed) / rows)
        traffic.append(share * (2 * right - 1))
    return found, gains, traffic


def fitted(seed: int = 0) -> GainEstimator:
    found, gains, _ = shifts(seed)
    estimator = GainEstimator.fit(found, gains, KINDS)
    assert estimator is not None
    return estimator


def test_the_regression_is_that_of_a_general_optimizer() -> None:
    random = np.random.default_rng(3)
    signs, counts = random.normal(size=(50, 2)) * [1.0, 3.0], random.uniform(0.1, 2, 50)
    shares = 1 / (1 + np.exp(-(0.4 + signs @ [1.1, -0.3] + 0.2 * random.standard_normal(50))))
    design = np.column_stack([np.ones(50), (signs - signs.mean(axis=0)) / signs.std(axis=0)])

    def loss(weights: np.ndarray, count: np.ndarray) -> float:
        odds = design @ weights
        return float(np.mean(count * (np.logaddexp(0, odds) - shares * odds)) + 1e-2 * np.square(weights[1:]).sum())

    found = LogisticRegression.fit(signs, shares, counts, ridge=1e-2).weights
    np.testing.assert_allclose(found, minimize(loss, np.zeros(3), counts / counts.mean(), tol=1e-12).x, atol=1e-4)
    with pytest.raises(AssertionError):  # counts matter
        np.testing.assert_allclose(found, minimize(loss, np.zeros(3), np.ones(50), tol=1e-12).x, atol=1e-4)


@pytest.mark.parametrize("rows", [64, 256])
def test_the_interval_holds_the_gain_on_the_traffic_nine_times_of_ten(rows: int) -> None:
    estimator = fitted()
    found, _, traffic = shifts(1, rows, 1000)

    estimates = [estimator.estimate(one) for one in found]
    covered = np.mean([one.low <= true <= one.high for one, true in zip(estimates, traffic, strict=True)])

    assert covered > 0.88
    assert np.abs([one.gain for one in estimates] - np.array(traffic)).mean() < 0.05
    assert np.mean([one.low <= true <= one.high for one, true in zip(estimates, traffic[::-1], strict=True)]) < 0.7


def test_two_that_agree_have_no_gain_and_a_narrow_interval() -> None:
    estimator = fitted()

    none = estimator.estimate(Agreement(256, 256, 0.0, 0, 400.0, 0.0))
    few = estimator.estimate(Agreement(256, 246, 0.0, 0, 400.0, 30.0))
    many = estimator.estimate(Agreement(256, 56, 0.0, 0, 400.0, 600.0))

    assert none.gain == 0
    assert none.high - none.low < few.high - few.low < many.high - many.low
    assert 0 < few.low < few.gain <= 10 / 256
    assert estimator.estimate(Agreement(256, 246, 0.0, 0, 400.0, -30.0)).high < 0  # the twin is unsure of these rows


def test_shifts_that_change_no_prediction_teach_nothing() -> None:
    found, gains, _ = shifts(0)
    alike = Agreement(64, 64, 0.0, 0, 96.0, 0.0)

    some = [*found[: MIN_SHIFTS // 2], *[alike] * 20]
    assert GainEstimator.fit(some, [*gains[: MIN_SHIFTS // 2], *[0.0] * 20], KINDS[: len(some)]) is None


def test_log_odds_are_of_the_rows_on_which_the_two_disagree() -> None:
    network, twin = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]), np.array([[0.2, 0.8], [0.6, 0.4], [0.9, 0.1]])

    found = Agreement.of(network, twin, 0.5)

    assert found.agreed == 1
    assert found.sure == pytest.approx(np.log(0.8 / 0.2) + np.log(0.9 / 0.1))
    assert log_odds(np.array([0.5, 1.0])) == pytest.approx([0, np.log(99)])
