"""Rows for the judge: parts that do not change once they were taken."""

import numpy as np

from models.moments.window import WindowMoments
from service.watching.unjudged_rows import MAX_PARTS, UnjudgedRows
from service.watching.windows import Bucket


def rows(count: int) -> Bucket:
    return Bucket(0.0, {"norm": WindowMoments(count, *np.zeros((5, 2)))}, np.zeros(0, np.int64))


def test_parts_are_about_one_window_and_do_not_change_once_taken() -> None:
    unjudged = UnjudgedRows(64)
    for count in (40, 40, 10):
        unjudged.add(rows(count))
    assert {number: part.rows for number, part in unjudged.take().items()} == {1: 80, 2: 10}

    unjudged.add(rows(5))
    unjudged.add(rows(6))
    assert {number: part.rows for number, part in unjudged.take().items()} == {1: 80, 2: 10, 3: 11}
    unjudged.confirm(2)
    unjudged.confirm(2)
    assert list(unjudged.take()) == [1, 3]


def test_the_number_of_parts_is_bounded() -> None:
    unjudged = UnjudgedRows(4)
    for _ in range(2 * MAX_PARTS):
        unjudged.add(rows(4))

    assert list(unjudged.take()) == list(range(MAX_PARTS + 1, 2 * MAX_PARTS + 1))
