"""Which version's statistics a row fits: its parent's, or those of a version that was re-calibrated for other rows.

A re-calibrated version has its parent's weights. So the first batch-normalisation layers, which no other one comes
before, meet the same tensor in both, and observing them in the parent tells how likely the moments of a row are
under the statistics of either: with z the parent's units and z' the version's,

    z' = scale z + shift,      scale = sqrt(var / var'),      shift = gamma (mean - mean') / sqrt(var')

where gamma is +-1, or nearer to 0 in a channel whose scale is floored (`models.observation.floored_scale`). The
moments of a row are taken as independent and normal, with the averages and spreads over the rows that each version's
thresholds are from. The score of a row is the difference of the two log densities, per channel, in the same units. Real
moments are correlated and have longer tails, so that no probability follows from it: a row goes to the version where
its score exceeds a margin that at most 1 % of the parent's held-out rows exceed.

A row can be unlike both. It stays with the parent where it is further from the version's own rows than
`MAX_DEVIATION` times what one of them in 100 exceeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.batchnorm import Float64
from models.drift.detector import Detector
from models.drift.reference import ExpectedMoments
from models.errors import InvalidInput
from models.manifest import LayerReference, Manifest, NormLayer
from models.observation import RowStatistics, floored_scale

MAX_DEVIATION = 2.0
"""Drift score in a layer of the version, above which a row is none of its domain. Chosen on `benchmarks.corruptions`:
without it, 13 of 132 pairs of a version and rows of another shift lost more than a point (convnet), with it none."""

CLEAN_SHARE = 0.01
"""Of the rows that are the parent's: at most so many go to any of its versions."""

MIN_HELD_OUT_ROWS = 99
"""With fewer, not even a margin that none of them exceeds holds for 99 of 100 further rows."""

PARENT = -1
"""In place of the position of a version."""


class VersionFit:
    """How well rows fit a re-calibrated version, compared with its parent.

    Args:
        parent: manifest of the version that it was made from.
        version: its manifest.

    Raises:
        InvalidInput: the two have no first layer with a reference in common.
    """

    def __init__(self, parent: Manifest, version: Manifest) -> None:
        if parent.drift is None or version.drift is None:
            raise InvalidInput("a version without held-out rows has no statistics that rows could fit")
        usual, own = parent.drift.layers, version.drift.layers
        new = {layer.name: layer for layer in version.norm_layers}
        self._layers = [
            _LayerFit.of(layer, new[layer.name], usual[layer.name], own[layer.name])
            for layer in first_layers(parent)
            if layer.name in new.keys() & usual.keys() & own.keys()
        ]
        self._detector = Detector(version.drift)
        if not self._layers:
            raise InvalidInput("the versions have no batch-normalisation layer that rows can be compared in")

    def scores(self, observed: Mapping[str, RowStatistics]) -> Float64:
        """Log density under the version's statistics less that under the parent's, per channel, shape (rows,).

        Args:
            observed: by layer, from the parent's observed graph.

        Returns:
            NaN for a row that is not finite.
        """
        with np.errstate(invalid="ignore", over="ignore"):
            gains = [layer.gains(observed[layer.name]) for layer in self._layers]
        mean: Float64 = np.concatenate(gains, axis=1).mean(axis=1)
        return mean

    def deviations(self, observed: Mapping[str, RowStatistics], rows: NDArray[np.int64]) -> Float64:
        """The largest drift score of rows in these layers of the version, 1 being what one usual row in 100 exceeds.

        Args:
            observed: as for `scores`.
            rows: positions of those that are meant.
        """
        with np.errstate(invalid="ignore", over="ignore"):
            restated = {layer.name: layer.restate(observed[layer.name].take(rows)) for layer in self._layers}
            deviations: Float64 = np.max(list(self._detector.layer_scores(restated).values()), axis=0)
        return deviations


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


def first_layers(manifest: Manifest) -> list[NormLayer]:
    """The observed batch-normalisation layers that no other one comes before."""
    layers = {layer.name: layer for layer in manifest.norm_layers}
    if not manifest.topology:  # of an earlier release: layers are in the order of the graph
        return [layer for layer in manifest.norm_layers[:1] if layer.unwatched is None]
    is_behind: list[bool] = []  # whether a layer is at the node or before it
    found = []
    for node in manifest.topology:
        before = any(is_behind[source] for source in node.sources)
        layer = layers.get(node.name) if node.kind == "layer" else None
        if layer is not None and not before and layer.unwatched is None:
            found.append(layer)
        is_behind.append(before or layer is not None)
    return found


@dataclass(frozen=True)
class _LayerFit:
    """One first layer in both versions.

    Attributes:
        name: of the layer.
        usual, own: what is expected of the parent's rows and of the version's, each in its units.
        scale, shift: shape (C,): from the parent's units to the version's.
    """

    name: str
    usual: ExpectedMoments
    own: ExpectedMoments
    scale: Float64
    shift: Float64

    @classmethod
    def of(cls, old: NormLayer, new: NormLayer, usual: LayerReference, own: LayerReference) -> "_LayerFit":
        """A layer of the parent, the same in the version, and the references of the two."""
        was, now = (np.sqrt(np.array(layer.running_var) + layer.eps) for layer in (old, new))
        gamma = np.array(old.gamma) / floored_scale(old)
        shift = gamma * (np.array(old.running_mean) - np.array(new.running_mean)) / now
        return cls(old.name, ExpectedMoments.of_layer(usual), ExpectedMoments.of_layer(own), was / now, shift)

    def restate(self, rows: RowStatistics) -> RowStatistics:
        """The statistics of rows in the version's units, from those in the parent's."""
        scale, shift = self.scale, self.shift
        return RowStatistics(
            scale * rows.mean + shift, scale**2 * rows.mean_square + 2 * scale * shift * rows.mean + shift**2
        )

    def gains(self, rows: RowStatistics) -> Float64:
        """Log density under the version's statistics less that under the parent's, shape (rows, C)."""
        # The density in the parent's units is that in the version's times the determinant of the map between them.
        volume = 3 * np.log(self.scale)
        gains: Float64 = _log_density(self.restate(rows), self.own) + volume - _log_density(rows, self.usual)
        return gains


def _log_density(rows: RowStatistics, expected: ExpectedMoments) -> Float64:
    """Of independent normal moments, without the constant, shape (rows, C)."""
    off_mean, off_square = expected.standardized(rows.mean, rows.mean_square)
    density: Float64 = -(off_mean**2 + off_square**2) / 2 - np.log(expected.mean_spread * expected.square_spread)
    return density


def _exceeded_by_few(scores: Float64) -> Float64:
    """A score of each of several sets, shape (sets,), that a further one exceeds with a probability of 1 % at most.

    Of n scores, a further one exceeds the k-th largest with a probability of ``k / (n + 1)``.
    """
    rank = int(CLEAN_SHARE * (scores.shape[1] + 1))
    return np.sort(scores, axis=1)[:, -rank] if rank else scores.max(axis=1)
