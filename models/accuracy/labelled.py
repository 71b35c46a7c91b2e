"""The true accuracy on rows whose classes were sent afterwards."""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

from models.accuracy.estimator import COVERAGE


@dataclass(frozen=True)
class TrueAccuracy:
    """The share of correct rows among those with labels.

    Attributes:
        value: 0 to 1.
        low, high: ends of the interval that contains the accuracy on all rows nine times of ten, where those with
            labels were drawn at random from them.
        rows: with labels.
    """

    value: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True)
class Labelled:
    """Sums over rows with labels, which add up.

    Attributes:
        rows: how many.
        correct: those that were predicted to be of their class.
    """

    rows: int = 0
    correct: int = 0

    def __add__(self, other: "Labelled") -> "Labelled":
        """The rows of both."""
        return Labelled(self.rows + other.rows, self.correct + other.correct)

    @property
    def accuracy(self) -> TrueAccuracy | None:
        """With the score interval (Wilson 1927), which holds for few rows and near 0 and 1; None without rows."""
        if not self.rows:
            return None
        z = NormalDist().inv_cdf((1 + COVERAGE) / 2)
        n, p = self.rows, self.correct / self.rows
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return TrueAccuracy(p, max(centre - half, 0.0), min(centre + half, 1.0), n)


NO_LABELS = Labelled()
