"""The share of rows that has moved, and which these are, of rows whose parts are known."""

from functools import cache

import numpy as np
import pytest
from scipy.stats import norm

from models.drift.calibration import estimate
from models.manifest import DriftReference
from models.observation import RowStatistics
from models.recalibration.moved import MovedPart, moved_share
from models.recalibration.moved_rows import MAX_ERROR

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


def in_two_parts(distance: float, share: float, count: int, seed: int) -> tuple[dict[str, RowStatistics], np.ndarray]:
    """Normal rows of one channel, of which the first have moved; and which these are."""
    random = np.random.default_rng(seed)
    has_moved = np.arange(count) < round(share * count)
    mean = random.normal(size=(count, 1)) + distance * has_moved[:, None]
    return {"layer": RowStatistics(mean, 50 + random.normal(size=(count, 1)))}, has_moved


@cache
def usual() -> tuple[dict[str, RowStatistics], DriftReference]:
    """Rows that have not moved, and the reference that follows from them."""
    held_out, _ = in_two_parts(0, 0, 4000, 0)
    return held_out, estimate(held_out, None, 0)


def moved_part(rows: dict[str, RowStatistics]) -> MovedPart:
    return MovedPart.find(rows, *usual())


@pytest.mark.parametrize(("distance", "share"), [(3.0, 0.5), (4.0, 0.5), (4.0, 0.25), (4.0, 1.0), (8.0, 0.1)])
def test_the_rows_that_have_moved_are_told_as_well_as_their_distributions_allow(distance: float, share: float) -> None:
    rows, has_moved = in_two_parts(distance, share, 4000, 1)

    part = moved_part(rows)

    # Bayes' error of two normal distributions of one variance: the border is where their densities are alike.
    border = distance / 2 - (np.log(share / (1 - share)) / distance if share < 1 else np.inf)
    missed, false = share * norm.cdf(border - distance), (1 - share) * norm.sf(border)
    assert part.error == pytest.approx(false / (false + share - missed), abs=0.015)
    assert (part.contains(rows) != has_moved).mean() == pytest.approx(missed + false, abs=0.01)
    assert part.normal[:2] == (pytest.approx(share, abs=0.02), pytest.approx(distance, abs=0.15))


@pytest.mark.parametrize(("distance", "share"), [(0.0, 0.0), (1.0, 0.5), (2.0, 0.25)])
def test_of_rows_that_overlap_many_are_expected_to_be_taken_wrongly(distance: float, share: float) -> None:
    rows, _ = in_two_parts(distance, share, 4000, 1)

    assert moved_part(rows).error > MAX_ERROR
