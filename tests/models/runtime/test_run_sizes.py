"""Sizes of runs on a device that plans anew for each change."""

from itertools import pairwise

import numpy as np

from models.datatypes import Arrays
from models.rows import count_rows
from models.runtime.run_sizes import RunSizes, buckets, in_all_sizes


def changes(sizes: list[int]) -> int:
    return sum(before != after for before, after in pairwise(sizes))


def test_batches_of_varying_size_are_planned_once() -> None:
    rows = [9, 32, 3, 17, 1, 28, 16, 30] * 100
    chosen = RunSizes(buckets(32))

    found = list(map(chosen.choose, rows))

    assert changes(found) == 1
    next_sizes = [next(size for size in buckets(32) if size >= count) for count in rows]
    assert changes(next_sizes) > 600  # without a memory


def test_it_shrinks_to_what_is_needed_when_all_runs_have_become_smaller() -> None:
    chosen = RunSizes(buckets(32))
    chosen.choose(20)

    found = [chosen.choose(1 + 4 * (number % 5 == 0)) for number in range(100)]

    assert found[0] == 32
    assert found[-1] == 8
    assert changes(found) == 1


def test_a_large_request_now_and_then_keeps_the_size() -> None:
    chosen = RunSizes(buckets(32))

    found = [chosen.choose(32 if number % 20 == 0 else 1) for number in range(200)]

    assert set(found) == {32}


def test_more_rows_than_the_largest_size_are_not_filled_up_nor_remembered() -> None:
    chosen = RunSizes(buckets(32))

    assert [chosen.choose(rows) for rows in (2, 40, 2)] == [2, 40, 2]


def test_runs_of_all_sizes_have_the_rows_in_order() -> None:
    met: list[int] = []

    def run(inputs: Arrays) -> Arrays:
        met.append(count_rows(inputs))
        # As half precision may: only the kernels for one row overflow.
        return {"y": inputs["x"] * (np.nan if count_rows(inputs) == 1 else 2)}

    x = np.arange(64, dtype=np.float32)[:, None]
    found = in_all_sizes(run, buckets(32))({"x": x})["y"]

    assert met == [1, 2, 4, 8, 16, 32, 1]
    assert np.isnan(found[[0, 63]]).all()
    np.testing.assert_array_equal(found[1:63], 2 * x[1:63])
    assert np.isfinite(in_all_sizes(run, ())({"x": x})["y"]).all()
