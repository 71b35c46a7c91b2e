"""Random windows of rows: `models.drift.drawn_windows`."""

import numpy as np
import pytest

from models.drift.drawn_windows import DrawnWindows


@pytest.mark.parametrize("size", [1, 5, 8, 9, 128, 200])  # the last ones are drawn with replacement
def test_averages_are_those_of_each_windows_rows(size: int) -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(256, 7))
    drawn = DrawnWindows.draw(256, np.arange(256), size, 40, random)

    found = drawn.average(values)

    assert drawn.size == size
    np.testing.assert_allclose(found, values[drawn.indices].mean(axis=1), rtol=0, atol=1e-14)
    assert not np.allclose(found, values[np.roll(drawn.indices, 1, axis=0)].mean(axis=1), atol=1e-3)


@pytest.mark.parametrize("size", [1, 20, 100])
def test_windows_have_no_row_twice_and_every_row_as_often_as_others(size: int) -> None:
    drawn = DrawnWindows.draw(400, np.arange(100, 300), size, 2000, np.random.default_rng(1)).indices

    assert drawn.shape == (2000, size)
    assert all(len(np.unique(window)) == size for window in drawn)
    times = np.bincount(drawn.ravel() - 100, minlength=200)
    assert times.min() == times.max() == 10 * size


@pytest.mark.parametrize(("size", "replaced"), [(4, False), (16, False), (100, False), (101, True), (400, True)])
def test_windows_of_random_halves_deviate_from_the_other_half_by_their_standard_error(
    size: int, replaced: bool
) -> None:
    random = np.random.default_rng(2)
    off = []
    for _ in range(800):
        values = random.normal(size=(400, 1))
        half, other = np.array_split(random.permutation(400), 2)
        drawn = DrawnWindows.draw(400, half, size, 2, random)
        assert drawn.replaced == replaced
        off.append(drawn.average(values) - values[other].mean())

    assert np.sqrt(np.square(off).mean()) == pytest.approx(drawn.error(200), rel=0.1)
