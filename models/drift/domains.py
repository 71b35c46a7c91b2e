"""Which version answers a row: its parent, or one that was re-calibrated for other rows, whose statistics it fits.

`models.drift.version_fit` has the score of a row. Real moments are correlated and have longer tails than it assumes, so
that no probability follows from it: a row goes to the version where its score exceeds a margin that at most 1 % of the
parent's held-out rows exceed.

A row can be unlike both. It stays with the parent where it is further from the version's own rows than
`MAX_DEVIATION` times what one of them in 100 exceeds.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.batchnorm import Float64
from models.drift.version_fit import VersionFit
from models.errors import InvalidInput
from models.manifest import Manifest
from models.observation import RowStatistics

MAX_DEVIATION = 2.0
"""Drift score in a layer of the version, above which a row is none of its domain. Chosen on `benchmarks.corruptions`:
without it, 13 of 132 pairs of a version and rows of another shift lost more than a point (convnet), with it none."""

CLEAN_SHARE = 0.01
"""Of the rows that are the parent's: at most so many go to any of its versions."""

MIN_HELD_OUT_ROWS = 99
"""With fewer, not even a margin that none of them exceeds holds for 99 of 100 further rows."""

PARENT = -1
"""In place of the position of a version."""


class DomainRule:
    """Decides which version answers each row.

    Args:
        parent: manifest of the version that answers all rows which fit no other.
        domains: manifests of versions that were re-calibrated from it, with their margins from `find_margins`.

    Raises:
        InvalidInput: as `VersionFit`.
    """

    def __init__(self, parent: Manifest, domains: Sequence[tuple[Manifest, float]]) -> None:
        self._domains = [(VersionFit(parent, version), margin) for version, margin in domains]

    def choose(self, observed: Mapping[str, RowStatistics]) -> NDArray[np.int64]:
        """The position of the version that each row fits best, or `PARENT`, shape (rows,).

        Args:
            observed: by layer, from the parent's observed graph.
        """
        rows = len(next(iter(observed.values())))
        chosen, best = np.full(rows, PARENT), np.zeros(rows)
        for position, (fit, margin) in enumerate(self._domains):
            scores = fit.scores(observed)
            better = np.flatnonzero((scores > margin) & (scores > best))
            if len(better):  # most rows are the parent's, which costs nothing more
                better = better[fit.deviations(observed, better) <= MAX_DEVIATION]
                chosen[better], best[better] = position, scores[better]
        return chosen


def find_margins(
    parent: Manifest, versions: Sequence[Manifest], held_out: Mapping[str, RowStatistics]
) -> tuple[float, ...]:
    """The margins by which the scores of rows have to exceed 0, one for each version.

    The margin of a version is a score of a held-out row that so few others exceed that a further row like these does
    with a probability of 1 % at most, whatever their distribution (conformal prediction). With several versions, all
    margins are raised until that holds for the versions together.

    Args:
        parent: manifest of the version that answers by default.
        versions: manifests of versions that were re-calibrated from it.
        held_out: the parent's held-out rows by layer, from its observed graph.

    Raises:
        InvalidInput: there are too few held-out rows; or as `VersionFit`.
    """
    scores = np.nan_to_num(np.stack([VersionFit(parent, version).scores(held_out) for version in versions]))
    rows = scores.shape[1]
    if rows < MIN_HELD_OUT_ROWS:
        raise InvalidInput(
            f"the default version keeps {rows} held-out rows, {MIN_HELD_OUT_ROWS} are needed to tell its own rows"
        )
    margins = np.maximum(_exceeded_by_few(scores), 0.0)
    beyond = (scores - margins[:, None]).max(axis=0)
    margins = margins + max(float(_exceeded_by_few(beyond[None])[0]), 0.0)
    return tuple(margins.tolist())


def _exceeded_by_few(scores: Float64) -> Float64:
    """A score of each of several sets, shape (sets,), that a further one exceeds with a probability of 1 % at most.

    Of n scores, a further one exceeds the k-th largest with a probability of ``k / (n + 1)``.
    """
    rank = int(CLEAN_SHARE * (scores.shape[1] + 1))
    return np.sort(scores, axis=1)[:, -rank] if rank else scores.max(axis=1)
