"""How far a network agrees with its re-calibrated twin -> the accuracy that it means, and what the twin would gain."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from models.accuracy.agreement import Agreement, CurrentAccuracy
from models.accuracy.estimator import Estimator
from models.accuracy.gain import GainEstimator
from models.accuracy.logistic import LogisticRegression
from models.batchnorm import Float64
from models.manifest import AccuracyEstimate, AccuracyGain

MIN_CONFIDENT = 0.98
"""Share of the held-out rows that count as confident, where the accuracy on undisturbed rows is not known or higher."""


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
        gains: estimates what the twin gains; None where that could not be learned.
    """

    regression: Estimator
    confident_at: float
    scale: float
    block_rows: int
    undisturbed: float = 1.0
    gains: GainEstimator | None = None

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

    def twin_gain(self, agreement: Agreement, *, is_label_shift: bool = False) -> AccuracyGain | None:
        """By how much the twin is more accurate on a window of rows; None where that is not known.

        Args:
            agreement: on the rows. Fewer than a block give no estimate.
            is_label_shift: whether the mix of classes explains what moved, so that the twin is wrong.
        """
        if self.gains is None or is_label_shift or agreement.rows < self.block_rows:
            return None
        return self.gains.estimate(agreement)

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
        regression, gains = fields.pop("regression"), fields.pop("gains", None)
        return cls(
            Estimator(**_restored(regression)),
            **fields,
            gains=None if gains is None else GainEstimator(**_restored(gains)),
        )


def _restored(fields: dict[str, Any]) -> dict[str, Any]:
    arrays = {name: np.array(values, np.float64) for name, values in fields["regression"].items()}
    return {"regression": LogisticRegression(**arrays), "half_width": float(fields["half_width"])}
