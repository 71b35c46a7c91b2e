"""The re-calibrated twin of one version, and the rows that wait until they are a block."""

from collections.abc import Callable

import numpy as np

from models.accuracy.agreement import NO_ROWS, Agreement
from models.accuracy.agreement_estimator import AgreementEstimator
from models.classification import ScoreKind, probabilities
from models.datatypes import Array
from service.watching.observed_model import Inputs

RunTwin = Callable[[Inputs], Array]
"""Runs the twin on a block of rows: inputs by name -> scores, shape (rows, K)."""


class Twin:
    """Runs beside a version on blocks of rows, and counts how far the two agree. Not thread-safe.

    Rows wait here in memory, a block at most.

    Args:
        estimator: of the version.
        run: runs the twin.
        scores: what the scores are.
    """

    def __init__(self, estimator: AgreementEstimator, run: RunTwin, scores: ScoreKind) -> None:
        self.estimator = estimator
        self._run = run
        self._scores = scores
        self._waiting: list[tuple[Inputs, Array]] = []
        self._waiting_rows = 0

    def add(self, inputs: Inputs, scores: Array) -> Agreement:
        """Add rows. Returns the agreement on the block that they fill, or on no rows.

        Args:
            inputs: by name.
            scores: the version's, shape (rows, K). Rows with scores that are not finite are left out.

        Raises:
            InferenceFailed: the runtime failed on the block, which is dropped.
        """
        finite = np.isfinite(scores).all(axis=1)
        self._waiting.append(({name: values[finite] for name, values in inputs.items()}, scores[finite]))
        self._waiting_rows += int(np.count_nonzero(finite))
        if self._waiting_rows < (size := self.estimator.block_rows):
            return NO_ROWS
        blocks, self._waiting, self._waiting_rows = self._waiting, [], 0
        block = {name: np.concatenate([part[name] for part, _ in blocks])[:size] for name in inputs}
        own = np.concatenate([part for _, part in blocks])[:size]
        twin = self._run(block)
        if not np.isfinite(twin).all():
            return NO_ROWS
        network, twin = (probabilities(found, self._scores) for found in (own, twin))
        return Agreement.of(network, twin, self.estimator.confident_at)
