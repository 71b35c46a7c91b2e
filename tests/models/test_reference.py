"""What is expected of a version's layers, from rows."""

import numpy as np

from models.drift.calibration import MAX_HELD_OUT_ROWS
from models.reference import sample_rows


def test_thresholds_come_from_a_bounded_number_of_rows_drawn_from_all_over() -> None:
    assert sample_rows(10).tolist() == list(range(10))
    chosen = sample_rows(20_000)
    assert len(chosen) == len(set(chosen.tolist())) == MAX_HELD_OUT_ROWS
    assert (np.diff(chosen) > 0).all()
    assert chosen[0] < 100
    assert chosen[-1] > 19_900
