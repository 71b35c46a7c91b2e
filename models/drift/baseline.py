"""The spread of good traffic: thresholds for windows whose rows resemble each other.

Thresholds of the held-out rows hold for windows of independent rows. Rows of one user, camera or hour are alike, so
that windows of real traffic differ more. How much more is learnt from windows of traffic that is declared good, one
after the other. The score of a statistic in a window is the statistic over its threshold for independent rows at a
false-alarm rate of 1 %. The threshold for correlated rows at rate a is that quantile of new windows' scores:

    ln q(a) = max(x_[(w + 1)(1 - a)], m + s t(a) (1 + g (z^2 - 1) / (6 z)) sqrt(1 + 1/w)),    z = Phi^-1(1 - a)

with x_[r] the r-th smallest of w logarithms of scores, interpolated: a conformal quantile (Vovk, Gammerman & Shafer
2005), which holds for one more window whatever the scores' distribution. The second is a prediction interval by their
mean m, deviation s and skewness g (Cornish & Fisher 1938), t being the quantile of Student's distribution of w - 1
degrees of freedom. Scores of blocks, such as writers or runs of one class, have heavier tails than it knows; by the
second alone, 2.5 % of the windows exceeded what 1 % should. Windows that resemble their neighbours count for fewer,
w (1 - r) / (1 + r) with r the lag-one autocorrelation (Bayley & Hammersley 1946). Where w < 1/a - 1, the quantile is
the largest score, and the rate more than the baseline supports. The bias of the held-out rows, if the traffic differs
from them all the time, is in the scores as well.

Both hold for one more window, on average over baselines. All windows of the following months are compared with one
baseline, and one that chance has placed badly is exceeded several times too often all the time. A rate of alarms by
days (`models.drift.alarm_rule`) needs thresholds that hold by nearly every baseline: tolerance limits, by order (Wilks
1941) and by the normal approximation (Hahn & Meeker 1991, "Statistical Intervals"), c the normal quantile of 0.95:

    ln q(a) = max(x_[w - k], m + s (z (1 + g (z^2 - 1) / (6 z)) + c sqrt((1 + z^2 / 2) / w)))

with k the most windows of w that exceed q(a) in at most one baseline of twenty, by the binomial distribution; the
largest score where also none is likelier. Where w a < 1, no limit is known.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import ceil, exp, floor, inf, log, sqrt
from statistics import NormalDist

import numpy as np

from models.batchnorm import Float64
from models.drift.assessment import Assessment

MIN_WINDOWS, MAX_WINDOWS = 30, 1000
"""Windows that a baseline may be learnt from."""

SCORE_RATE = 0.01
"""False-alarm rate of the thresholds that scores are relative to."""

OVERALL, CLASSES, GIVEN_CLASSES = "overall", "classes", "given classes"
"""Names of statistics: over all layers, of the predicted classes, and over all layers with the classes given."""

TOLERANCE_CONFIDENCE = 0.95
"""Share of baselines by whose tolerance limits a rate holds."""

_MIN_SCORE = 0.01
_MIN_COUNT = 4.0
_MAX_CORRELATION = 0.95
_MIN_EXCESS = 0.1
"""Of windows over independent ones, which chance makes of windows that do not resemble each other."""


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
        return 0.0 if scores is None else self._to_factor(scores.log_quantile(rate), rows)

    def tolerance_factor(self, rows: int, rate: float) -> float:
        """The factor of the statistic over all layers, for thresholds that hold for months: see above.

        Args:
            rows: of the window.
            rate: of false alarms. Where the baseline is too short to tell it, the factor is infinite.
        """
        scores = self._distributions.get(OVERALL)
        if scores is None or scores.count * rate < 1:
            return inf
        return self._to_factor(scores.log_tolerance_limit(rate), rows)

    @property
    def independent_windows(self) -> float | None:
        """As how many independent windows it counts; None before it is long enough."""
        scores = self._distributions.get(OVERALL)
        return None if scores is None else scores.count

    @property
    def smallest_rate(self) -> float | None:
        """The smallest false-alarm rate that it supports; None before it is long enough."""
        count = self.independent_windows
        return None if count is None else 1 / (count + 1)

    def windows_for(self, rate: float) -> int | None:
        """Windows of such traffic that support a false-alarm rate; None before it is long enough."""
        count = self.independent_windows
        return None if count is None else ceil((1 / rate - 1) * self.learned / count)

    @property
    def block_windows(self) -> int:
        """Windows, one after the other, that count as one independent window, at least 1."""
        count = self.independent_windows
        return 1 if count is None else max(1, ceil(self.learned / count - _MIN_EXCESS))

    def _to_factor(self, exponent: float, rows: int) -> float:
        if exponent > 0 and rows > self.window_rows > 1:
            exponent *= log(rows) / log(self.window_rows)
        return exp(exponent)

    @cached_property
    def _distributions(self) -> dict[str, "_LogScores"]:
        return {name: _LogScores.of(scores) for name, scores in self.scores.items() if len(scores) >= MIN_WINDOWS}


@dataclass(frozen=True)
class _LogScores:
    """Logarithms of scores, ascending; their mean, deviation and skewness; as how many independent ones they count."""

    ordered: Float64
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
            np.sort(values),
            float(values.mean()),
            sqrt(square / (len(values) - 1)),
            float((off**3).mean()) / (square / len(values)) ** 1.5,
            max(len(values) * (1 - correlation) / (1 + correlation), _MIN_COUNT),
        )

    def log_quantile(self, rate: float) -> float:
        """The logarithm of what a new window exceeds at this rate, below a half, at most."""
        z = NormalDist().inv_cdf(1 - rate)
        quantile = student_quantile(z, self.count - 1) * self._tail(z)
        interval = self.mean + self.deviation * quantile * sqrt(1 + 1 / self.count)
        return max(interval, self._of_rank((self.count + 1) * (1 - rate)))

    def log_tolerance_limit(self, rate: float) -> float:
        """The logarithm of what new windows exceed at this rate at most, by nearly all baselines."""
        z = NormalDist().inv_cdf(1 - rate)
        error = NormalDist().inv_cdf(TOLERANCE_CONFIDENCE) * sqrt((1 + z * z / 2) / self.count)
        limit = self.mean + self.deviation * (z * self._tail(z) + error)
        return max(limit, self._of_rank(self.count - allowed_exceedances(floor(self.count), rate)))

    def _of_rank(self, rank: float) -> float:
        """The logarithm of this rank among as many as they count as: 1 the smallest; the largest beyond them."""
        windows = len(self.ordered)
        return float(np.interp(rank * windows / self.count, np.arange(1, windows + 1), self.ordered))

    def _tail(self, z: float) -> float:
        return 1 + max(self.skewness, 0.0) * (z - 1 / z) / 6  # a shorter tail than the normal one is not relied on


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


def allowed_exceedances(windows: int, rate: float) -> int:
    """The most windows that exceed a threshold with which the rate holds by nearly every baseline, at least 0.

    Args:
        windows: of the baseline, independent ones.
        rate: of false alarms.

    So many or fewer windows exceed the threshold that has this rate with a probability of 1 - `TOLERANCE_CONFIDENCE`
    at most, but for 0: also the largest of few windows may be exceeded too often.
    """
    exceeded, share = 0, (1 - rate) ** windows
    total = share
    while total <= 1 - TOLERANCE_CONFIDENCE:
        exceeded += 1
        share *= (windows - exceeded + 1) / exceeded * rate / (1 - rate)
        total += share
    return max(exceeded - 1, 0)


def _scores(found: Assessment) -> dict[str, float]:
    """The score of each statistic in a window."""
    statistics = {OVERALL: (found.statistic, found.threshold)}
    statistics |= {layer_statistic(name): (layer.statistic, layer.threshold) for name, layer in found.layers.items()}
    if (classes := found.classes) is not None:
        statistics[CLASSES] = classes.statistic, classes.threshold
        statistics[GIVEN_CLASSES] = classes.unexplained, 1.0
    return {name: value / threshold for name, (value, threshold) in statistics.items() if value and threshold}
