"""How far a network agrees with its re-calibrated twin, as sums over rows that add up, and the accuracy that it means.

The twin has the network's weights, and the statistics of the rows themselves in its normalisation layers. Rows are read
in blocks, since the twin's statistics are those of a block; sums of several blocks are the agreement of all their rows.

Where the two make the same mistakes, as on rows that were moved sideways, agreement says nothing. The information of
the twin's predictions does: such rows get probabilities of several classes.
"""

import json
from dataclasses import asdict, dataclass, replace
from typing import Self

import numpy as np

from models.accuracy.estimator import Estimator, logit
from models.accuracy.information import mutual_information
from models.batchnorm import Float64
from models.classification import predicted_classes
from models.manifest import AccuracyEstimate

MIN_CONFIDENT = 0.98
"""Share of the held-out rows that count as confident, where the accuracy on undisturbed rows is not known or higher."""

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
    """

    rows: int = 0
    agreed: int = 0
    given: float = 0.0
    confident: int = 0
    information: float = 0.0

    @classmethod
    def of(cls, network: Float64, twin: Float64, confident_at: float) -> Self:
        """The agreement on a block of rows.

        Args:
            network, twin: probabilities of the classes, shape (n, K).
            confident_at: largest probability from which a row counts as confident.
        """
        classes = predicted_classes(network)
        return cls(
            len(network),
            int(np.count_nonzero(classes == predicted_classes(twin))),
            float(twin[np.arange(len(twin)), classes].sum()),
            int(np.count_nonzero(network.max(axis=1) >= confident_at)),
            len(twin) * mutual_information(twin),
        )

    def __add__(self, other: "Agreement") -> "Agreement":
        """The agreement on the rows of both."""
        return Agreement(
            self.rows + other.rows,
            self.agreed + other.agreed,
            self.given + other.given,
            self.confident + other.confident,
            self.information + other.information,
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


@dataclass(frozen=True)
class AgreementEstimator:
    """Estimates the accuracy of one version, or of its twin, from how far the two agree.

    Attributes:
        regression: of the accuracy on the signs.
        confident_at: see `Agreement.of`.
        scale: the accuracy on undisturbed rows; 1 where it is not known, and estimates are relative to it.
        block_rows: rows of the blocks that the regression was fitted to.
        undisturbed: what the regression gives for undisturbed held-out rows. Estimates are relative to it, so that they
            are `scale` for these: the regression is fitted to shifts, and a point or three too low where there is none.
    """

    regression: Estimator
    confident_at: float
    scale: float
    block_rows: int
    undisturbed: float = 1.0

    @classmethod
    def fit(cls, regression: Estimator, held_out: Float64, scale: float, block_rows: int) -> Self:
        """Where confidence begins is read off the held-out rows' probabilities, shape (m, K)."""
        confident_at = float(np.quantile(held_out.max(axis=1), 1 - min(scale, MIN_CONFIDENT)))
        return cls(regression, confident_at, scale, block_rows)

    def relative_to(self, held_out: Agreement) -> Self:
        """The estimator whose estimate is `scale` for these undisturbed rows."""
        return replace(self, undisturbed=float(self.regression.predict(held_out.signs[None])[0]))

    def estimate(self, agreement: Agreement, *, is_label_shift: bool = False) -> AccuracyEstimate:
        """The accuracy on rows.

        Where an unusual mix of classes explains what has moved, the twin is wrong, not the network: then the share of
        confident rows estimates its accuracy (Garg et al. 2022, ATC).

        Args:
            agreement: on at least one row.
            is_label_shift: whether the mix of classes explains what moved.
        """
        if not is_label_shift:
            return self.regression.estimate(agreement.signs, agreement.rows, self.scale / self.undisturbed)
        share = agreement.confident / agreement.rows
        error = 2 * float(np.sqrt((share * (1 - share) + 0.01) / agreement.rows))
        return AccuracyEstimate(accuracy=share, low=max(share - error, 0.0), high=min(share + error, 1.0))

    def current(self, agreement: Agreement, *, is_label_shift: bool = False) -> CurrentAccuracy | None:
        """The accuracy on a window of rows; None where fewer than a block of them were read."""
        if agreement.rows < self.block_rows:
            return None
        found = self.estimate(agreement, is_label_shift=is_label_shift)
        return CurrentAccuracy(found.accuracy, found.low, found.high, self.scale, agreement.rows)

    def to_json(self) -> bytes:
        """Returns what `from_json` reads."""
        return json.dumps(asdict(self), default=np.ndarray.tolist).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """The estimator that `to_json` wrote.

        Raises:
            ValueError, TypeError, KeyError: it is something else.
        """
        fields = json.loads(data)
        regression = fields.pop("regression")
        half_width = float(regression.pop("half_width"))
        arrays = {name: np.array(values, np.float64) for name, values in regression.items()}
        return cls(Estimator(half_width=half_width, **arrays), **fields)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
