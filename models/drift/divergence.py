"""How far two distributions are apart: of one channel, taken as normal, or of predicted classes.

With m, v the mean and variance of the window and n, r those of the reference:

    mean shift       (m - n) / sqrt(r)                                               in deviations of the reference
    variance ratio   log2(v / r)                                                     in powers of two
    symmetric KL     ((v + d) / r + (r + d) / v - 2) / 4,    d = (m - n)^2           half of KL both ways, in nats
    Wasserstein^2    ((m - n)^2 + (sqrt(v) - sqrt(r))^2) / r                         2-Wasserstein, in variances r
    G                2 sum O ln(O / E)                                               over both histograms
"""

from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from models.batchnorm import Float64

_VARIANCE_FLOOR = 0.01
"""Of the reference's variance: a channel that has gone quiet is far off, but not infinitely."""


def mean_shift(mean: Float64, reference_mean: Float64, reference_variance: Float64) -> Float64:
    """The mean minus the reference's, in the reference's standard deviations, per channel.

    Args:
        mean: of the window, shape (..., C), float64.
        reference_mean, reference_variance: shape (C,), float64; the variance positive.
    """
    shift: Float64 = (mean - reference_mean) / np.sqrt(reference_variance)
    return shift


def log2_variance_ratio(variance: Float64, reference_variance: Float64) -> Float64:
    """The variance over the reference's, in powers of two, per channel.

    Args:
        variance: of the window, shape (..., C), float64. Less than a hundredth of the reference's counts as that.
        reference_variance: shape (C,), float64, positive.
    """
    ratio: Float64 = np.log2(np.maximum(variance / reference_variance, _VARIANCE_FLOOR))
    return ratio


def symmetric_kl(mean: Float64, variance: Float64, reference_mean: Float64, reference_variance: Float64) -> Float64:
    """Half the sum of both Kullback-Leibler divergences of two normal distributions, per channel, in nats.

    Args:
        mean, variance: of the window, shape (..., C), float64. A variance below a hundredth of the reference's counts
            as that.
        reference_mean, reference_variance: shape (C,), float64; the variance positive.
    """
    v = np.maximum(variance, _VARIANCE_FLOOR * reference_variance)
    d = np.square(mean - reference_mean)
    divergence: Float64 = 0.25 * ((v + d) / reference_variance + (reference_variance + d) / v - 2)
    return divergence


def wasserstein_squared(
    mean: Float64, variance: Float64, reference_mean: Float64, reference_variance: Float64
) -> Float64:
    """Squared 2-Wasserstein distance of two normal distributions, in the reference's variances, per channel.

    Args:
        mean, variance: of the window, shape (..., C), float64.
        reference_mean, reference_variance: shape (C,), float64; the variance positive.
    """
    d = np.square(mean - reference_mean) + np.square(np.sqrt(variance) - np.sqrt(reference_variance))
    distance: Float64 = d / reference_variance
    return distance


def unusual_classes(counts: Float64, reference: Float64, rate: float) -> tuple[int, ...]:
    """The classes whose shares differ significantly in two histograms, ascending: a z-test of each, at rate / K.

    Args:
        counts, reference: rows by class, shape (K,), at least one row each.
        rate: of a false finding among all classes (Bonferroni).
    """
    n, m = counts.sum(), reference.sum()
    pooled = (counts + reference) / (n + m)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    limit = NormalDist().inv_cdf(1 - rate / (2 * len(counts)))
    return tuple(int(place) for place in np.flatnonzero(np.abs(counts / n - reference / m) > limit * error))


def g_statistic(counts: ArrayLike, reference: ArrayLike) -> Float64:
    """The G statistic of two histograms: the likelihood ratio of two distributions and one, shape (...).

    Args:
        counts, reference: rows by class, shape (..., K).
    """
    both = np.stack(np.broadcast_arrays(np.asarray(counts, np.float64), np.asarray(reference, np.float64)))
    whole = both.sum(axis=(0, -1), keepdims=True)
    expected = both.sum(axis=-1, keepdims=True) * both.sum(axis=0, keepdims=True) / whole
    ratio = np.divide(both, expected, out=np.ones_like(both), where=both > 0)
    found: Float64 = 2 * (both * np.log(ratio)).sum(axis=(0, -1))
    return found
