"""Figures between and beyond those of the tables: `models.drift.thresholds`."""

import numpy as np
import pytest

from models.drift.reference import Usual
from models.drift.thresholds import noise_at, require_rate, threshold_at, usual_at
from models.errors import InvalidInput
from tests.models.drift.population import reference

RATES = (0.05, 0.02, 0.01, 0.005, 0.002, 0.001)


@pytest.mark.slow
def test_thresholds_of_the_table_are_those_of_the_table() -> None:
    known = reference()
    for row, rows in enumerate(known.windows):
        for column, rate in enumerate(RATES):
            found = threshold_at(known, known.thresholds, rows, rate)
            assert found == pytest.approx(known.thresholds[row][column], rel=1e-12)


def test_between_two_windows_and_two_rates_a_threshold_is_linear_in_their_logarithms() -> None:
    known = reference()
    corners = np.array(known.thresholds)[1:3, 1:3]  # 16 and 64 rows, 2 % and 1 %

    between = threshold_at(known, known.thresholds, 32, np.sqrt(0.02 * 0.01))

    assert between == pytest.approx(corners.mean(), rel=1e-12)
    assert corners.min() < between < corners.max()


def test_windows_beyond_the_table_take_its_end() -> None:
    known = reference()
    largest = known.windows[-1]

    for rows in (largest + 1, 100 * largest):
        assert threshold_at(known, known.thresholds, rows, 0.01) == known.thresholds[-1][RATES.index(0.01)]
        layer = known.layers["first"]
        assert usual_at(known, layer, rows) == Usual(
            layer.usual_deviation[-1], layer.usual_divergence[-1], layer.usual_t_squared[-1]
        )


def test_chance_falls_with_the_number_of_rows() -> None:
    known = reference()
    table = known.layers["first"].kl_noise

    assert noise_at(known, table, 64) == pytest.approx(table[known.windows.index(64)], rel=1e-12)
    assert noise_at(known, table, 32) == pytest.approx(np.sqrt(table[1] * table[2]), rel=1e-12)
    assert noise_at(known, table, 2 * known.windows[-1]) == pytest.approx(table[-1] / 2, rel=1e-12)
    assert noise_at(known, np.zeros(len(known.windows)), 16) < 1e-9  # it has a logarithm all the same


@pytest.mark.parametrize("rate", [0.5, 1e-5, 0.0, -1.0, float("nan")])
def test_a_rate_that_was_not_measured_is_refused(rate: float) -> None:
    with pytest.raises(InvalidInput, match=r"false_alarm_rate: got .*, expected a rate from 0.001 to 0.05"):
        require_rate(reference(), rate)


@pytest.mark.parametrize("rate", [0.05, 0.003, 0.001])
def test_one_that_was_is_taken(rate: float) -> None:
    require_rate(reference(), rate)
