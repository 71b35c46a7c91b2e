"""What one observation adds to the windows of a version."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.accuracy.agreement import NO_ROWS, Agreement
from models.moments.layers import Layers, count_rows


@dataclass(frozen=True)
class Observation:
    """Moments of the rows of one observed batch, or of several merged batches.

    Attributes:
        model, version: the observed version.
        layers: moments by layer name.
        classes: rows by predicted class, shape (K,), int64; empty for a model that does not classify.
        batches: observed batches.
        skipped: batches that were not observed since the previous observation.
        seconds: processor time spent.
        agreement: of the version with its twin, on as many rows as were read for it.
        fit: how much the rows fit the version better than the one it was made from, in rows (`VersionFit.evidence`).
    """

    model: str
    version: int
    layers: Layers
    classes: NDArray[np.int64]
    batches: int = 1
    skipped: int = 0
    seconds: float = 0.0
    agreement: Agreement = NO_ROWS
    fit: float = 0.0

    @classmethod
    def of_fit(cls, model: str, version: int, fit: float) -> "Observation":
        """How much rows that another version has answered fit a version better: no rows of its own."""
        return cls(model, version, {}, np.zeros(0, np.int64), batches=0, fit=fit)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return count_rows(self.layers)
