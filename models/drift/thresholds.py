"""Figures for a window of any number of rows, interpolated in the tables that a model's reference has.

The tables are for some numbers of rows and some false-alarm rates; in between, figures are linear in the logarithm of
both.
"""

from collections.abc import Sequence
from math import inf

import numpy as np
from numpy.typing import ArrayLike

from models.drift.baseline import SCORE_RATE, Baseline
from models.drift.reference import Usual
from models.errors import InvalidInput
from models.manifest import DriftReference, LayerReference, Thresholds

_MIN_NOISE = 1e-12


def threshold_at(reference: DriftReference, table: Thresholds, rows: int, rate: float) -> float:
    """The threshold of a statistic for windows of this many rows; windows beyond the table take its end.

    Statistics are relative to what is usual, which falls with the window, as averages of more rows have lighter tails:
    the end is on the safe side.

    Args:
        reference: what the table belongs to.
        table: of the statistic, [window][false-alarm rate].
        rows: of the window.
        rate: of false alarms, one that `require_rate` accepts.
    """
    by_rate = [float(np.interp(np.log(rate), np.log(reference.false_alarm_rates[::-1]), row[::-1])) for row in table]
    return _at(reference, by_rate, rows)


class WindowThresholds:
    """Thresholds at one false-alarm rate.

    Args:
        reference: has those for independent rows.
        rate: of false alarms, one that `require_rate` accepts.
        baseline: raises them to those for correlated rows, once it is complete.

    Attributes:
        rate: of false alarms.
    """

    def __init__(self, reference: DriftReference, rate: float, baseline: Baseline | None = None) -> None:
        self._reference = reference
        self.rate = rate
        self._baseline = baseline if baseline is not None and baseline.is_complete else None

    def of(self, statistic: str, table: Thresholds, rows: int) -> float:
        """The threshold of a statistic.

        Args:
            statistic: its name in a baseline.
            table: of the statistic, [window][false-alarm rate].
            rows: of the window.
        """
        return self._at(self.rate, statistic, table, rows)

    def p_value(self, value: float, rows: int) -> float:
        """The smallest of the measured rates at which the statistic over all layers is significant, or 1.

        By a baseline, at which it is so for months: thresholds are its tolerance limits, above those of `of`.

        Args:
            value: of the statistic.
            rows: of the window.
        """
        p = 1.0
        for rate in self._reference.false_alarm_rates:
            if value <= self._lasting(rate, rows):
                break
            p = rate
        return p

    def _at(self, rate: float, statistic: str, table: Thresholds, rows: int) -> float:
        factor = 0.0 if self._baseline is None else self._baseline.factor(statistic, rows, rate)
        return self._raised(rate, table, rows, factor)

    def _lasting(self, rate: float, rows: int) -> float:
        factor = 0.0 if self._baseline is None else self._baseline.tolerance_factor(rows, rate)
        return self._raised(rate, self._reference.thresholds, rows, factor)

    def _raised(self, rate: float, table: Thresholds, rows: int, factor: float) -> float:
        independent = threshold_at(self._reference, table, rows, rate)
        return (
            max(independent, factor * threshold_at(self._reference, table, rows, SCORE_RATE)) if factor else independent
        )


def usual_at(reference: DriftReference, layer: LayerReference, rows: int) -> Usual:
    """What one undisturbed window in a hundred exceeds in a layer; windows beyond the table take its end."""
    return Usual(
        _at(reference, layer.usual_deviation, rows),
        _at(reference, layer.usual_divergence, rows),
        inf if layer.directions is None else _at(reference, layer.usual_t_squared, rows),
    ).of_windows(rows)


def noise_at(reference: DriftReference, noise: ArrayLike, rows: int) -> float:
    """What chance makes of a size in a window of this many rows: beyond the table it falls as one over their number."""
    table = np.maximum(np.asarray(noise, dtype=np.float64), _MIN_NOISE)
    largest = reference.windows[-1]
    if rows > largest:
        return float(table[-1] * largest / rows)
    return float(np.exp(np.interp(np.log(rows), np.log(reference.windows), np.log(table))))


def nearest_rate(reference: DriftReference | None, rate: float) -> float:
    """The rate that is nearest to one, of those at which thresholds can be interpolated; any without a reference."""
    if reference is None:
        return rate
    return min(max(rate, reference.false_alarm_rates[-1]), reference.false_alarm_rates[0])


def require_rate(reference: DriftReference, rate: float) -> None:
    """Check that thresholds can be interpolated at this false-alarm rate.

    Raises:
        InvalidInput: it is beyond the rates that were measured.
    """
    largest, smallest = reference.false_alarm_rates[0], reference.false_alarm_rates[-1]
    if not smallest <= rate <= largest:
        raise InvalidInput(
            f"got {rate:g}, expected a rate from {smallest:g} to {largest:g}, the range that was measured",
            "false_alarm_rate",
        )


def _at(reference: DriftReference, values: Sequence[float], rows: int) -> float:
    return float(np.interp(np.log(rows), np.log(reference.windows), values))
