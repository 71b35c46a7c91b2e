"""Divergences against their definitions: `models.drift.divergence`."""

import numpy as np
import pytest
from scipy import stats

from models.drift.divergence import (
    g_statistic,
    log2_variance_ratio,
    mean_shift,
    symmetric_kl,
    unusual_classes,
    wasserstein_squared,
)


def test_divergence_and_distance_are_those_of_normal_distributions() -> None:
    m, v, mr, vr = 0.7, 2.0, -0.1, 0.5
    grid = np.linspace(-15, 15, 200_001)
    live, known = stats.norm(m, np.sqrt(v)), stats.norm(mr, np.sqrt(vr))
    step = grid[1] - grid[0]
    forward = (live.pdf(grid) * (live.logpdf(grid) - known.logpdf(grid))).sum() * step
    back = (known.pdf(grid) * (known.logpdf(grid) - live.logpdf(grid))).sum() * step
    quantiles = (np.arange(200_000) + 0.5) / 200_000
    squared = np.square(live.ppf(quantiles) - known.ppf(quantiles)).mean()

    one = [np.array([value]) for value in (m, v, mr, vr)]
    assert symmetric_kl(*one)[0] == pytest.approx((forward + back) / 2, rel=1e-6)
    assert wasserstein_squared(*one)[0] == pytest.approx(squared / vr, rel=1e-3)


def test_classes_are_compared_by_the_likelihood_ratio_of_one_distribution_and_two() -> None:
    seen, known = np.array([3, 0, 9, 4]), np.array([100, 50, 120, 130])

    assert g_statistic(seen, known) == pytest.approx(
        stats.chi2_contingency([seen, known], lambda_="log-likelihood").statistic
    )
    assert g_statistic(known, known) == pytest.approx(0)
    assert g_statistic([0, 5, 0, 0], [9, 0, 9, 9]) > 20


def test_a_class_is_unusual_where_its_share_differs_by_a_test_of_its_own() -> None:
    seen, known = np.array([40.0, 0.0, 9.0, 15.0]), np.array([100.0, 50.0, 120.0, 130.0])
    p_values = [
        stats.chi2_contingency([[one, seen.sum() - one], [other, known.sum() - other]], correction=False).pvalue
        for one, other in zip(seen, known, strict=True)
    ]

    for rate in (0.05, 0.01, 0.001):
        expected = tuple(np.flatnonzero(np.array(p_values) <= rate / 4))
        assert unusual_classes(seen, known, rate) == expected
    assert unusual_classes(seen, known, 0.05) == (0, 1, 2)
    assert unusual_classes(known, known, 0.05) == ()


def test_symmetric_kl_is_half_of_both_divergences() -> None:
    mean, var, usual_mean, usual_var = (np.array(v) for v in ([0.3, -1.0], [1.7, 0.4], [0.1, 2.0], [0.5, 3.0]))
    squared = (mean - usual_mean) ** 2
    forward = 0.5 * ((var + squared) / usual_var - 1 + np.log(usual_var / var))
    backward = 0.5 * ((usual_var + squared) / var - 1 + np.log(var / usual_var))

    np.testing.assert_allclose(symmetric_kl(mean, var, usual_mean, usual_var), (forward + backward) / 2, rtol=1e-12)
    assert (symmetric_kl(mean, var, mean, var) == 0).all()


def test_a_channel_that_has_gone_quiet_is_far_off_but_not_infinitely() -> None:
    zeros, ones = np.zeros(2), np.ones(2)

    quiet = symmetric_kl(zeros, zeros, zeros, ones)
    assert np.isfinite(quiet).all()
    np.testing.assert_array_equal(quiet, symmetric_kl(zeros, np.full(2, 0.01), zeros, ones))
    assert (quiet > symmetric_kl(zeros, np.full(2, 0.1), zeros, ones)).all()


def test_shifts_have_signs_and_are_relative_to_the_reference() -> None:
    usual_mean, usual_var = np.array([1.0, -2.0]), np.array([4.0, 0.25])

    np.testing.assert_allclose(mean_shift(np.array([0.0, -1.0]), usual_mean, usual_var), [-0.5, 2.0])
    np.testing.assert_allclose(log2_variance_ratio(np.array([16.0, 0.125]), usual_var), [2.0, -1.0])
    np.testing.assert_allclose(log2_variance_ratio(np.zeros(2), usual_var), np.log2(0.01))
