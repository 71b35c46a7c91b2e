"""The spread of good traffic: thresholds for windows whose rows resemble each other.

Thresholds of the held-out rows hold for windows of independent rows. Rows of one user, camera or hour are alike, so
that windows of real traffic differ more. How much more is learnt from windows of traffic that is declared good, one
after the other. The score of a statistic in a window is the statistic over its threshold for independent rows at a
false-alarm rate of 1 %. The threshold for correlated rows at rate a is that quantile of new windows' scores:

    ln q(a) = m + s t(a) (1 + g (z^2 - 1) / (6 z)) sqrt(1 + 1/w),    z = Phi^-1(1 - a)

with m, s, g the mean, deviation and skewness of the logarithms of w scores (Cornish & Fisher 1938), and t the quantile
of Student's distribution of w - 1 degrees of freedom: a prediction interval for one more window. Windows that resemble
their neighbours count for fewer, w (1 - r) / (1 + r) with r the lag-one autocorrelation (Bayley & Hammersley 1946).
The bias of the held-out rows, if the traffic differs from them all the time, is in the scores as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import exp, log, sqrt
from statistics import NormalDist

import numpy as np

from models.drift.assessment import Assessment

MIN_WINDOWS, MAX_WINDOWS = 30, 1000
"""Windows that a baseline may be learnt from."""

SCORE_RATE = 0.01
"""False-alarm rate of the thresholds that scores are relative to."""

OVERALL, CLASSES, GIVEN_CLASSES = "overall", "classes", "given classes"
"""Names of statistics: over all layers, of the predicted classes, and over all layers with the classes given."""

_MIN_SCORE = 0.01
_MIN_COUNT = 4.0
_MAX_CORRELATION = 0.95


def layer_statistic(name: str) -> str:
    """The name of the statistic of a layer."""
    return f"layer {name}"


@dataclass(frozen=True)
class Baseline:
    """Scores of windows of traffic that is declared good.

    Attributes:
        windows: how many it is learnt from, `MIN_WINDOWS` to `MAX_WINDOWS`.
        window_rows: rows of each.
        since: when it was begun, in seconds since 1970.
        scores: of each window so far, by statistic.
    """

    windows: int
    window_rows: int
    since: float
    scores: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def learned(self) -> int:
        """Windows so far."""
        return len(self.scores.get(OVERALL, ()))

    @property
    def is_complete(self) -> bool:
        """Whether all windows are there, and thresholds follow from them."""
        return self.learned >= self.windows

    @property
    def significant_before(self) -> float:
        """Share of its windows that exceed the threshold for independent rows at 1 %."""
        scores = self.scores.get(OVERALL, ())
        return sum(score > 1 for score in scores) / len(scores) if scores else 0.0

    def add(self, found: Assessment) -> "Baseline":
        """The baseline with one more window; the same for one without thresholds, or if it is complete.

        Args:
            found: of the window, by the thresholds for independent rows at `SCORE_RATE`.
        """
        if self.is_complete or not (scores := _scores(found)):
            return self
        # A layer that a window lacks, as one that had only rows beyond the range, would end up with fewer scores.
        added = {name: (*self.scores.get(name, ()), score) for name, score in scores.items()}
        return replace(self, scores={**self.scores, **added})

    def factor(self, statistic: str, rows: int, rate: float) -> float:
        """What the threshold for independent rows at `SCORE_RATE` is multiplied by; 0 for an unknown statistic.

        A larger window's factor is extrapolated as a power of its rows, from 1 for a single row: the rows of traffic
        that is correlated over any time. A smaller one's is the same, which is on the safe side.

        Args:
            statistic: its name.
            rows: of the window.
            rate: of false alarms.
        """
        scores = self._distributions.get(statistic)
        if scores is None:
            return 0.0
        exponent = scores.log_quantile(rate)
        if exponent > 0 and rows > self.window_rows > 1:
            exponent *= log(rows) / log(self.window_rows)
        return exp(exponent)

    @cached_property
    def _distributions(self) -> dict[str, "_LogScores"]:
        return {name: _LogScores.of(scores) for name, scores in self.scores.items() if len(scores) >= MIN_WINDOWS}


@dataclass(frozen=True)
class _LogScores:
    """Mean, deviation and skewness of the logarithms of scores, and how many independent ones they count for."""

    mean: float
    deviation: float
    skewness: float
    count: float

    @classmethod
    def of(cls, scores: tuple[float, ...]) -> "_LogScores":
        values = np.log(np.maximum(scores, _MIN_SCORE))
        off = values - values.mean()
        square = max(float(np.square(off).sum()), 1e-12)
        correlation = min(max(float(off[1:] @ off[:-1]) / square, 0.0), _MAX_CORRELATION)
        return cls(
            float(values.mean()),
            sqrt(square / (len(values) - 1)),
            float((off**3).mean()) / (square / len(values)) ** 1.5,
            max(len(values) * (1 - correlation) / (1 + correlation), _MIN_COUNT),
        )

    def log_quantile(self, rate: float) -> float:
        """The logarithm of what a new window exceeds at this rate, below a half."""
        z = NormalDist().inv_cdf(1 - rate)
        tail = 1 + max(self.skewness, 0.0) * (z - 1 / z) / 6  # a shorter tail than the normal one is not relied on
        return self.mean + self.deviation * student_quantile(z, self.count - 1) * tail * sqrt(1 + 1 / self.count)


def student_quantile(z: float, freedom: float) -> float:
    """The quantile of Student's distribution whose probability is that of the normal quantile z.

    Args:
        z: quantile of the standard normal distribution.
        freedom: degrees of freedom, at least 3, where it is 2 % low at a probability of 0.99.

    Abramowitz & Stegun 26.7.5, to the third order.
    """
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom**order for order, term in enumerate(terms, 1))


def _scores(found: Assessment) -> dict[str, float]:
    """The score of each statistic in a window."""
    statistics = {OVERALL: (found.statistic, found.threshold)}
    statistics |= {layer_statistic(name): (layer.statistic, layer.threshold) for name, layer in found.layers.items()}
    if (classes := found.classes) is not None:
        statistics[CLASSES] = classes.statistic, classes.threshold
        statistics[GIVEN_CLASSES] = classes.unexplained, 1.0
    return {name: value / threshold for name, (value, threshold) in statistics.items() if value and threshold}
