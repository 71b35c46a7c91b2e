"""Synthetic shifts of rows of any rank."""

import numpy as np
import pytest

from models.accuracy.shifts import shifts


@pytest.mark.parametrize("shape", [(8, 20), (8, 12, 10), (8, 3, 12, 10), (8, 2)])
def test_rows_of_any_rank_are_damaged_in_several_ways(shape: tuple[int, ...]) -> None:
    rows = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    before = rows.copy()

    found = list(shifts(rows))

    assert len({kind for kind, _ in found}) >= 8
    np.testing.assert_array_equal(rows, before)
    for kind, damaged in found:
        assert (damaged.shape, damaged.dtype) == (rows.shape, rows.dtype), kind
        assert np.isfinite(damaged).all(), kind
    assert sum(np.abs(damaged - rows).max() > 0.1 for _, damaged in found) > 0.9 * len(found)


def test_the_same_seed_gives_the_same_rows() -> None:
    rows = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    first, again, other = (list(shifts(rows, seed)) for seed in (1, 1, 2))

    assert all(np.array_equal(a.rows, b.rows) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a.rows, b.rows) for a, b in zip(first, other, strict=True))
