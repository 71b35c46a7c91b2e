"""Quantiles are estimated as well as the buckets allow."""

import numpy as np
import pytest

from service.telemetry.durations import BOUNDS, DurationHistogram


def histogram(*seconds: float) -> DurationHistogram:
    durations = DurationHistogram()
    for value in seconds:
        durations.add(value)
    return durations


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.9, 0.99])
def test_a_quantile_is_within_its_bucket(fraction: float) -> None:
    seconds = np.random.default_rng(0).lognormal(-5, 1.5, 5000)

    found, expected = histogram(*seconds.tolist()).quantile(fraction), np.quantile(seconds, fraction)
    assert found is not None
    assert np.searchsorted(BOUNDS, found) == np.searchsorted(BOUNDS, expected)


def test_an_empty_histogram_has_no_quantile() -> None:
    assert DurationHistogram().quantile(0.5) is None


def test_a_quantile_beyond_the_buckets_is_the_last_bound() -> None:
    assert histogram(1e9).quantile(0.5) == BOUNDS[-1]


def test_since_an_earlier_copy_only_later_durations_count() -> None:
    earlier, later = histogram(0.25, 4.0), histogram(0.25, 4.0, 2**-12, 8.0)

    assert later.since(earlier) == histogram(2**-12, 8.0)
