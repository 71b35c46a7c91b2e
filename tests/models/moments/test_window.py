"""Moments over rows are those of numpy, in whatever order they are merged: `models.moments.window`."""

import random
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidInput
from models.moments.window import WindowMoments
from models.observation import RowStatistics

CHANNELS = 3


def some_rows(rows: int, seed: int = 0) -> RowStatistics:
    random = np.random.default_rng(seed)
    z = random.normal(0.3, 1.4, size=(rows, 7, CHANNELS))
    return RowStatistics(z.mean(axis=1), np.square(z).mean(axis=1))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.randoms())
def test_merging_all_at_once_is_merging_one_by_one(sizes: list[int], seed: random.Random) -> None:
    parts = [WindowMoments.of(some_rows(size, seed.randrange(1000))) for size in sizes]
    at_once, one_by_one = WindowMoments.merged(parts), reduce(WindowMoments.merge, parts)

    assert at_once.count == one_by_one.count == sum(sizes)
    for name in ("row_mean", "row_square", "m2_mean", "m2_square", "co"):
        np.testing.assert_allclose(getattr(at_once, name), getattr(one_by_one, name), rtol=1e-9, atol=1e-12)


def test_moments_of_other_channels_do_not_merge_at_once_either() -> None:
    with pytest.raises(InvalidInput, match=r"\[3, 4\] channels"):
        WindowMoments.merged([WindowMoments.empty(width) for width in (3, 4, 3)])


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.randoms())
def test_any_split_merged_in_any_order_is_the_whole(sizes: list[int], order: object) -> None:
    rows = some_rows(sum(sizes))
    parts, start = [], 0
    for size in sizes:
        parts.append(RowStatistics(rows.mean[start : start + size], rows.mean_square[start : start + size]))
        start += size
    order.shuffle(parts)
    merged = WindowMoments.empty(CHANNELS)
    for part in parts:
        merged = merged.merge(WindowMoments.of(part))

    assert merged.count == len(rows)
    if len(rows):
        np.testing.assert_allclose(merged.mean, rows.mean.mean(axis=0), rtol=1e-9, atol=1e-12)
        variance = rows.mean_square.mean(axis=0) - rows.mean.mean(axis=0) ** 2
        np.testing.assert_allclose(merged.variance, variance, rtol=1e-9, atol=1e-12)
    if len(rows) > 1:
        expected = rows.mean.std(axis=0, ddof=1) / np.sqrt(len(rows))
        np.testing.assert_allclose(merged.mean_error, expected, rtol=1e-7, atol=1e-12)
        influence = rows.mean_square - 2 * rows.mean.mean(axis=0) * rows.mean
        expected = influence.std(axis=0, ddof=1) / np.sqrt(len(rows))
        np.testing.assert_allclose(merged.variance_error, expected, rtol=1e-6, atol=1e-9)


def test_standard_errors_say_how_much_estimates_differ() -> None:
    windows = [WindowMoments.of(some_rows(50, seed)) for seed in range(400)]

    for estimate, error in (("mean", "mean_error"), ("variance", "variance_error")):
        actual = np.std([getattr(window, estimate) for window in windows], axis=0)
        claimed = np.mean([getattr(window, error) for window in windows], axis=0)
        np.testing.assert_allclose(claimed, actual, rtol=0.15)


def test_different_layers_do_not_merge() -> None:
    with pytest.raises(InvalidInput, match="do not merge"):
        WindowMoments.empty(2).merge(WindowMoments.empty(3))
