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

_DEVIATIONS = NormalDist().inv_cdf((1 + COVERAGE) / 2)
_RIDGE = 1e-3


@dataclass(frozen=True)
class Estimator:
    """A regression of accuracy on signs.

    Attributes:
        mean, spread: of the signs among the shifts that it was fitted to, shape (s,).
        weights: the intercept, and one for each sign in units of its spread, shape (1 + s,).
        half_width: of the interval, in units of ``sqrt(p (1 - p) + 0.01)``.
    """

    mean: Float64
    spread: Float64
    weights: Float64
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
            found = cls._regress(signs[other], accuracy[other]).predict(signs[~other])
            errors[~other] = np.abs(found - accuracy[~other]) / _unit(found)
        rank = min(ceil((len(errors) + 1) * COVERAGE), len(errors))
        fitted = cls._regress(signs, accuracy)
        return cls(fitted.mean, fitted.spread, fitted.weights, float(np.sort(errors)[rank - 1]))

    @classmethod
    def _regress(cls, signs: Float64, accuracy: Float64) -> Self:
        found = LogisticRegression.fit(signs, accuracy, ridge=_RIDGE)
        return cls(found.mean, found.spread, found.weights, 0.0)

    def predict(self, signs: Float64) -> Float64:
        """Accuracies, shape (n,), of signs of shape (n, s)."""
        return LogisticRegression(self.mean, self.spread, self.weights).predict(signs)

    def estimate(self, signs: Float64, rows: int, scale: float = 1.0) -> AccuracyEstimate:
        """The accuracy on traffic of which some rows are known.

        Args:
            signs: of the rows, shape (s,).
            rows: how many. Fewer are less like the rest of the traffic, which widens the interval.
            scale: the accuracy on undisturbed rows, if it is known; else it is relative to what that is.
        """
        (p,) = self.predict(signs[None])
        half = float(np.hypot(self.half_width * _unit(p), _DEVIATIONS * np.sqrt(p * (1 - p) / rows)))
        accuracy, low, high = (float(np.clip(scale * value, 0, 1)) for value in (p, p - half, p + half))
        return AccuracyEstimate(accuracy=accuracy, low=low, high=high)


def logit(share: float) -> float:
    """Log odds of a share, which counts as at least 0.01 and at most 0.99."""
    return float(log_odds(np.array(share)))


def _unit(p: Float64) -> Float64:
    unit: Float64 = np.sqrt(p * (1 - p) + 0.01)
    return unit
