"""Windows of time lose rows as time passes, and hold as many buckets however long the traffic lasts."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from models.moments.window import WindowMoments
from models.observation import RowStatistics
from service.watching.windows import HORIZONS, Bucket, TimeWindows

NOW = 1.7e9
DAY = 86400.0


def bucket(rows: int, at: float = NOW) -> Bucket:
    values = np.zeros((rows, 2))
    return Bucket(at, {"norm": WindowMoments.of(RowStatistics(values, values))}, np.array([rows]))


def rows_by_window(windows: TimeWindows, now: float) -> list[int]:
    return [sum(found.rows for _, found in windows.select(window, now)) for window in HORIZONS]


@pytest.mark.parametrize(
    ("passed", "rows"),
    [
        (0.0, [10, 10, 10, 10, 10]),
        (61.0, [0, 10, 10, 10, 10]),
        (3601.0, [0, 0, 10, 10, 10]),
        (DAY + 1, [0, 0, 0, 10, 10]),
        (30 * DAY + 1, [0, 0, 0, 0, 10]),
    ],
)
def test_rows_leave_the_windows_as_time_passes(passed: float, rows: list[int]) -> None:
    windows = TimeWindows()
    windows.add(bucket(10))

    assert rows_by_window(windows, NOW + passed) == rows


def test_however_long_the_traffic_lasts_the_buckets_are_as_many() -> None:
    windows = TimeWindows()
    for turn in range(3000):
        windows.add(bucket(3, NOW + 301.0 * turn))

    held = Counter(window for window, _, _ in windows.items())
    assert all(held[window] <= horizon.buckets for window, horizon in HORIZONS.items())
    assert rows_by_window(windows, NOW + DAY * 30)[-1] == 9000


def test_buckets_are_selected_oldest_first() -> None:
    windows = TimeWindows()
    for minute in (2, 0, 1):
        windows.add(bucket(minute + 1, NOW + 60 * minute))

    assert [found.rows for _, found in windows.select("1h", NOW + 120)] == [1, 2, 3]


def test_the_fit_of_rows_adds_up_in_a_bucket() -> None:
    windows = TimeWindows()
    for fit in (2.0, -5.5, 1.0):
        windows.add(replace(bucket(3), fit=fit))

    assert [found.fit for _, found in windows.select("1m", NOW)] == [-2.5]


def test_windows_begin_with_the_buckets_of_others() -> None:
    first = TimeWindows()
    for at in (NOW, NOW + 7, NOW + 100):
        first.add(bucket(4, at))
    second = TimeWindows(first.items())
    for windows in (first, second):
        windows.add(bucket(5, NOW + 101))

    assert rows_by_window(second, NOW + 101) == rows_by_window(first, NOW + 101) == [9, 17, 17, 17, 17]


def test_merged_buckets_have_the_classes_and_layers_of_all() -> None:
    unclassified = Bucket(NOW - 1, {"other": WindowMoments.empty(3)}, np.zeros(0, np.int64))
    merged = Bucket.merged([bucket(2), unclassified, bucket(3)])

    assert (merged.rows, merged.since, set(merged.layers)) == (5, NOW - 1, {"norm", "other"})
    assert merged.classes.tolist() == [5]


def test_rows_that_were_stored_before_the_clock_was_set_back_are_in_no_window_of_time() -> None:
    windows = TimeWindows()
    windows.add(bucket(5, NOW))
    restored = TimeWindows(windows.items())
    earlier = NOW - DAY

    assert rows_by_window(restored, earlier) == [0, 0, 0, 0, 5]
    restored.add(bucket(3, earlier))
    assert rows_by_window(restored, earlier) == [3, 3, 3, 3, 8]
