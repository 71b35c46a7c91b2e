"""Signs of accuracy without labels -> an estimate with an interval, by a regression on shifts whose labels are known.

A network and its re-calibrated twin, the same weights with the statistics of the rows themselves, fail in different
ways: where the rows have moved, they disagree on what the network gets wrong. So their agreement follows the accuracy,
as that of two trained networks does (Jiang et al. 2022, "Assessing generalization of SGD via disagreement"; Baek et al.
2022, "Agreement-on-the-line"), and confidence alone does not. How exactly is learned for each network:

    accuracy = 1 / (1 + exp(-(b0 + b . signs)))

by logistic regression (`models.accuracy.logistic`) on synthetic shifts of held-out rows. The interval is conformal:
each kind of shift is predicted by a regression on the other kinds, and the error that nine of ten stay below, in units
of ``sqrt(p (1 - p) + 0.01)``, is its half-width in the same units. Those errors are of the shifted rows themselves;
that they are a sample of n rows adds the standard error ``sqrt(p (1 - p) / n)``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import NormalDist
from typing import Self

import numpy as np

from models.accuracy.logistic import LogisticRegression, log_odds
from models.batchnorm import Float64
from models.manifest import AccuracyEstimate

COVERAGE = 0.9
"""Share of shifts of a kind that was not learned from, whose accuracy is within the interval."""

MIN_KINDS = 4
"""Kinds of shifts without which there is no interval."""

DEVIATIONS = NormalDist().inv_cdf((1 + COVERAGE) / 2)
"""Standard errors on either side of an estimate that the interval has for the sampling of rows."""

_RIDGE = 1e-3


@dataclass(frozen=True)
class Estimator:
    """A regression of accuracy on signs.

    Attributes:
        regression: fitted to shifts.
        half_width: of the interval, in units of ``sqrt(p (1 - p) + 0.01)``.
    """

    regression: LogisticRegression
    half_width: float

    @classmethod
    def fit(cls, signs: Float64, accuracy: Float64, kinds: Sequence[str]) -> Self:
        """Fit to shifts.

        Args:
            signs: of each shift, shape (n, s).
            accuracy: 0 to 1, shape (n,).
            kinds: of the shifts, at least `MIN_KINDS` different ones.
        """
        labels = np.array(kinds)
        errors = np.zeros(len(accuracy))
        for kind in set(kinds):
            other = labels != kind
            found = LogisticRegression.fit(signs[other], accuracy[other], ridge=_RIDGE).predict(signs[~other])
            errors[~other] = np.abs(found - accuracy[~other]) / _unit(found)
        return cls(LogisticRegression.fit(signs, accuracy, ridge=_RIDGE), conformal_half_width(errors))

    def predict(self, signs: Float64) -> Float64:
        """Accuracies, shape (n,), of signs of shape (n, s)."""
        return self.regression.predict(signs)

    def estimate(self, signs: Float64, rows: int, scale: float = 1.0) -> AccuracyEstimate:
        """The accuracy on traffic of which some rows are known.

        Args:
            signs: of the rows, shape (s,).
            rows: how many. Fewer are less like the rest of the traffic, which widens the interval.
            scale: the accuracy on undisturbed rows, if it is known; else it is relative to what that is.
        """
        (p,) = self.predict(signs[None])
        half = float(np.hypot(self.half_width * _unit(p), DEVIATIONS * np.sqrt(p * (1 - p) / rows)))
        accuracy, low, high = (float(np.clip(scale * value, 0, 1)) for value in (p, p - half, p + half))
        return AccuracyEstimate(accuracy=accuracy, low=low, high=high)


def conformal_half_width(errors: Sequence[float] | Float64) -> float:
    """The half-width that holds for an error like these with probability `COVERAGE` (split conformal prediction)."""
    rank = min(ceil((len(errors) + 1) * COVERAGE), len(errors))
    return float(np.sort(errors)[rank - 1])


def logit(share: float) -> float:
    """Log odds of a share, which counts as at least 0.01 and at most 0.99."""
    return float(log_odds(np.array(share)))


def _unit(p: Float64) -> Float64:
    unit: Float64 = np.sqrt(p * (1 - p) + 0.01)
    return unit
