"""The share of rows that has moved, of rows whose parts are known."""

import numpy as np
import pytest

from models.drift.calibration import estimate
from models.observation import RowStatistics
from models.recalibration.moved import moved_share

CHANNELS = 6


def drawn(count: int, seed: int) -> RowStatistics:
    """Of rows whose channels are correlated."""
    random = np.random.default_rng(seed)
    mean = random.normal(size=(count, CHANNELS)) @ (np.eye(CHANNELS) + 0.3)
    return RowStatistics(mean, mean**2 + 1)


def moved_by(rows: RowStatistics, share: float, distance: float) -> dict[str, RowStatistics]:
    mean = rows.mean.copy()
    mean[: round(share * len(mean))] += distance
    return {"layer": RowStatistics(mean, rows.mean_square)}


@pytest.mark.parametrize("distance", [1.5, 4.0])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.75, 1.0])
def test_it_is_the_share_that_was_moved(share: float, distance: float) -> None:
    held_out = drawn(1000, 0)
    reference = estimate({"layer": held_out}, None, 0)

    found = moved_share(moved_by(drawn(1000, 1), share, distance), {"layer": held_out}, reference)

    # Shares of 1,000 rows; the variance without the move is known to a few per cent of the square of the smaller move.
    assert found == pytest.approx(share, abs=0.08)


def test_a_few_extreme_rows_are_a_small_share() -> None:
    held_out = drawn(1000, 0)

    found = moved_share(
        moved_by(drawn(1000, 1), 0.05, 1e6), {"layer": held_out}, estimate({"layer": held_out}, None, 0)
    )

    assert found == pytest.approx(0.05, abs=0.02)


def test_rows_that_have_become_more_alike_have_all_moved() -> None:
    held_out = drawn(1000, 0)
    rows = drawn(1000, 1)
    alike = {"layer": RowStatistics(0.2 * rows.mean + 2, rows.mean_square)}

    assert moved_share(alike, {"layer": held_out}, estimate({"layer": held_out}, None, 0)) == 1
