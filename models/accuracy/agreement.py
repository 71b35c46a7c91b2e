"""How far a network agrees with its re-calibrated twin, as sums over rows that add up, and the accuracy that it means.

The twin has the network's weights, and the statistics of the rows themselves in its normalisation layers. Rows are read
in blocks, since the twin's statistics are those of a block; sums of several blocks are the agreement of all their rows.

Where the two make the same mistakes, as on rows that were moved sideways, agreement says nothing. The information of
the twin's predictions does: such rows get probabilities of several classes.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from models.accuracy.estimator import logit
from models.accuracy.information import mutual_information
from models.accuracy.logistic import log_odds
from models.batchnorm import Float64
from models.classification import predicted_classes

LARGE_LOSS = 0.03
"""Estimated loss of accuracy from which a significant shift is worth an alarm. docs/drift.md has what it finds."""


@dataclass(frozen=True)
class Agreement:
    """Sums over rows.

    Attributes:
        rows: how many.
        agreed: those that network and twin predict to be of the same class.
        given: probability that the twin gives to the network's class.
        confident: rows that the network is as sure of as of nearly all held-out rows.
        information: mutual information of rows and the twin's classes in nats, times rows, of each block.
        sure: log odds of the twin's largest probability, of the rows on which the two disagree.
    """

    rows: int = 0
    agreed: int = 0
    given: float = 0.0
    confident: int = 0
    information: float = 0.0
    sure: float = 0.0

    @classmethod
    def of(cls, network: Float64, twin: Float64, confident_at: float) -> Self:
        """The agreement on a block of rows.

        Args:
            network, twin: probabilities of the classes, shape (n, K).
            confident_at: largest probability from which a row counts as confident.
        """
        classes = predicted_classes(network)
        differ = classes != predicted_classes(twin)
        return cls(
            len(network),
            int(np.count_nonzero(~differ)),
            float(twin[np.arange(len(twin)), classes].sum()),
            int(np.count_nonzero(network.max(axis=1) >= confident_at)),
            len(twin) * mutual_information(twin),
            float(log_odds(twin[differ].max(axis=1)).sum()),
        )

    def __add__(self, other: "Agreement") -> "Agreement":
        """The agreement on the rows of both."""
        return Agreement(
            self.rows + other.rows,
            self.agreed + other.agreed,
            self.given + other.given,
            self.confident + other.confident,
            self.information + other.information,
            self.sure + other.sure,
        )

    @property
    def share(self) -> float:
        """Of rows on which the two agree. There must be rows."""
        return self.agreed / self.rows

    @property
    def signs(self) -> Float64:
        """What the accuracy follows, shape (3,): log odds of the shares of `agreed` and `given`, and the information.

        There must be rows.
        """
        return np.array([logit(self.share), logit(self.given / self.rows), self.information / self.rows])


NO_ROWS = Agreement()


@dataclass(frozen=True)
class CurrentAccuracy:
    """The estimated accuracy of a version on a window of rows.

    Attributes:
        value: the estimate, 0 to 1.
        low, high: ends of the interval that the accuracy is in nine times of ten.
        usual: on undisturbed rows; 1 where it is not known, and all four are relative to it.
        rows: of the window, as far as they were read for the estimate.
    """

    value: float
    low: float
    high: float
    usual: float
    rows: int

    @property
    def is_lower(self) -> bool:
        """Whether the estimate is lower than on undisturbed rows, by as much as is worth an alarm."""
        return self.usual - self.value >= LARGE_LOSS

    def __str__(self) -> str:
        """The estimate as a sentence."""
        change = f"fell from {_percent(self.usual)} to" if self.is_lower else "is"
        interval = f"({100 * self.low:.0f} to {100 * self.high:.0f})"
        return f"Estimated accuracy {change} {_percent(self.value)} {interval}."


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
