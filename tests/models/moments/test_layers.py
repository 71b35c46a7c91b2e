"""Moments of several layers side by side are those of each layer: `models.moments.layers`."""

import numpy as np
import pytest

from models.errors import InvalidInput
from models.moments.layers import LayerMoments, Layers, count_rows, merged
from models.moments.window import WindowMoments
from models.observation import LayerStatistics, RowStatistics

COLUMNS = {"first": slice(0, 1), "second": slice(1, 3)}
SUMS = ("row_mean", "row_square", "m2_mean", "m2_square", "co")


def some_rows(rows: int, seed: int = 0) -> RowStatistics:
    z = np.random.default_rng(seed).normal(0.3, 1.4, size=(rows, 7, 3))
    return RowStatistics(z.mean(axis=1), np.square(z).mean(axis=1))


def side_by_side(rows: int, seed: int = 0) -> LayerMoments:
    return LayerMoments.of(LayerStatistics(some_rows(rows, seed), COLUMNS))


def assert_equal(found: Layers, expected: Layers) -> None:
    assert list(found) == list(expected)
    for name, moments in expected.items():
        assert found[name].count == moments.count
        for sums in SUMS:
            np.testing.assert_allclose(getattr(found[name], sums), getattr(moments, sums), rtol=1e-12)


def test_moments_of_all_layers_are_those_of_each() -> None:
    rows = some_rows(9)
    rows.mean[4, 2] = np.nan
    kept = np.arange(9) != 4

    found = LayerMoments.of(LayerStatistics(rows, COLUMNS))

    alone = {
        name: WindowMoments.of(RowStatistics(rows.mean[kept, chosen], rows.mean_square[kept, chosen]))
        for name, chosen in COLUMNS.items()
    }
    assert_equal(found, alone)
    assert count_rows(found) == count_rows(alone) == 8
    # The row is left out where it is finite as well: a window has the same rows in all layers.
    assert WindowMoments.of(RowStatistics(rows.mean[:, :1], rows.mean_square[:, :1])).count == 9


def test_layers_merge_together_as_they_merge_alone() -> None:
    parts = [side_by_side(5, 1), side_by_side(3, 2), side_by_side(8, 3)]

    found, alone = merged(parts), merged([dict(part) for part in parts])

    assert isinstance(found, LayerMoments)
    assert not isinstance(alone, LayerMoments)
    assert_equal(found, alone)
    assert isinstance(merged([{}, parts[0], {}]), LayerMoments)
    assert count_rows(merged([])) == count_rows({}) == 0
    with pytest.raises(AssertionError):
        assert_equal(found, merged(parts[:2]))


def test_windows_of_different_layers_have_those_of_each() -> None:
    other = LayerMoments.of(LayerStatistics(some_rows(4), {"second": slice(0, 2), "third": slice(2, 3)}))

    found = merged([side_by_side(5), other])

    assert {name: moments.count for name, moments in found.items()} == {"first": 5, "second": 9, "third": 4}
    assert count_rows(found) == 9
    with pytest.raises(InvalidInput, match="do not merge"):
        merged([side_by_side(5), LayerMoments.of(LayerStatistics(some_rows(4), {"first": slice(0, 2)}))])
