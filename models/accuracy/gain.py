"""What a network's re-calibrated twin gains over it on rows without labels: which of them is right where they disagree?

Where the two predict the same class, neither is more accurate. With D the share of the rows on which they disagree, and
u the twin's share of those of them that one of the two has right, each of the others counting half,

    gain = D (2 u - 1),      u = 1 / (1 + exp(-(b0 + b . signs)))

So a small D bounds the gain, and the error of its estimate: versions that differ on few rows are compared by these, and
not by two accuracies, each of which is uncertain by itself. How sure the twin is of these rows and the information of
its predictions are the signs. The regression of u is learned from synthetic shifts of held-out rows, and so is the
half-width of the interval: it is conformal, as that of the accuracy is (`models.accuracy.estimator`), in units of
``sqrt(D^2 + D / n)``, because errors grow with D, and those on the shifts have the standard error of n rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot, sqrt
from typing import Self

import numpy as np

from models.accuracy.agreement import Agreement
from models.accuracy.estimator import DEVIATIONS, conformal_half_width
from models.accuracy.logistic import LogisticRegression
from models.batchnorm import Float64
from models.manifest import AccuracyGain

_RIDGE = 1e-2

MIN_SHIFTS = 8
"""On which the two disagree, without which nothing is learned."""


@dataclass(frozen=True)
class GainEstimator:
    """Estimates what the twin gains.

    Attributes:
        regression: of the twin's share of the rows on which the two disagree on the signs.
        half_width: of the interval, in units of `_unit`.
    """

    regression: LogisticRegression
    half_width: float

    @classmethod
    def fit(cls, found: Sequence[Agreement], gains: Sequence[float], kinds: Sequence[str]) -> Self | None:
        """Fit to shifts; None where the two disagree on too few of them.

        Args:
            found: on each shift.
            gains: of the twin on it, -1 to 1.
            kinds: of the shifts.
        """
        errors = []
        for kind in set(kinds):
            others = _regress([one for one in zip(found, gains, kinds, strict=True) if one[2] != kind])
            if others is None:
                return None
            errors += [
                abs(_gain(others, one) - gain) / _unit(one)
                for one, gain, its_kind in zip(found, gains, kinds, strict=True)
                if its_kind == kind
            ]
        regression = _regress(list(zip(found, gains, kinds, strict=True)))
        assert regression is not None  # noqa: S101 - for the type checker: that of fewer shifts is not either
        return cls(regression, conformal_half_width(errors))

    def estimate(self, found: Agreement) -> AccuracyGain:
        """What the twin gains on the traffic that some rows are of."""
        gain, share = _gain(self.regression, found), 1 - found.share
        half = hypot(self.half_width * _unit(found), DEVIATIONS * sqrt(max(share - gain**2, 0.0) / found.rows))
        return AccuracyGain(gain=gain, low=max(gain - half, -1.0), high=min(gain + half, 1.0))


def _regress(shifts: Sequence[tuple[Agreement, float, str]]) -> LogisticRegression | None:
    told = [(found, gain) for found, gain, _ in shifts if found.agreed < found.rows]
    if len(told) < MIN_SHIFTS:
        return None
    signs = np.array([_signs(found) for found, _ in told])
    disagreed = np.array([1 - found.share for found, _ in told])
    shares = (np.array([gain for _, gain in told]) / disagreed + 1) / 2
    return LogisticRegression.fit(signs, shares, disagreed, ridge=_RIDGE)


def _gain(regression: LogisticRegression, found: Agreement) -> float:
    (share,) = regression.predict(_signs(found)[None])
    return float((1 - found.share) * (2 * share - 1))


def _signs(found: Agreement) -> Float64:
    """How sure the twin is where the two disagree, and the information of its predictions, shape (2,)."""
    return np.array([found.sure / max(found.rows - found.agreed, 1), found.information / found.rows])


def _unit(found: Agreement) -> float:
    """Of errors of an estimated gain. Where the two agree on all rows, one row counts."""
    share = max(1 - found.share, 1 / found.rows)
    return sqrt(share**2 + share / found.rows)
