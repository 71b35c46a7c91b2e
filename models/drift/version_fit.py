"""How well rows fit a re-calibrated version, compared with its parent.

A re-calibrated version has its parent's weights. So the first batch-normalisation layers, which no other one comes
before, meet the same tensor in both, and observing them in one of the two tells how likely the moments of a row are
under the statistics of either: with z the parent's units and z' the version's,

    z' = scale z + shift,      scale = sqrt(var / var'),      shift = gamma (mean - mean') / sqrt(var')

where gamma is +-1, or nearer to 0 in a channel whose scale is floored (`models.observation.floored_scale`). The
moments of a row are taken as independent and normal, with the averages and spreads over the rows that each version's
thresholds are from. The score of a row is the difference of the two log densities, per channel, in the same units.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.batchnorm import Float64
from models.drift.detector import Detector
from models.drift.reference import ExpectedMoments
from models.errors import InvalidInput
from models.manifest import LayerReference, Manifest, NormLayer
from models.observation import RowStatistics, floored_scale


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

    def evidence(self, observed: Mapping[str, RowStatistics]) -> float:
        """How much rows fit the version better than its parent, in rows; negative where they fit the parent better.

        That is the sum of their scores. Each counts as 1 at most, so that a row which is far from both decides nothing.

        Args:
            observed: by layer, from the parent's observed graph.
        """
        return float(np.clip(np.nan_to_num(self.scores(observed)), -1.0, 1.0).sum())

    def restate_for_parent(self, observed: Mapping[str, RowStatistics]) -> dict[str, RowStatistics]:
        """The statistics of the first layers from the parent's observed graph, from those of the version's own."""
        return {layer.name: layer.restate_for_parent(observed[layer.name]) for layer in self._layers}


def evidence_of_end(evidence: Iterable[float]) -> float:
    """How much the last of some rows fit the parent better than the version that has answered them, in rows.

    Page's cumulative sum (1954, "Continuous inspection schemes"): the largest sum over the last rows, however many, and
    0 where they fit the version.

    Args:
        evidence: for the version, of rows in the order in which they came (`VersionFit.evidence`).
    """
    total = 0.0
    for each in evidence:
        total = max(total - each, 0.0)
    return total


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
        return _transform(rows, self.scale, self.shift)

    def restate_for_parent(self, rows: RowStatistics) -> RowStatistics:
        """The statistics of rows in the parent's units, from those in the version's."""
        return _transform(rows, 1 / self.scale, -self.shift / self.scale)

    def gains(self, rows: RowStatistics) -> Float64:
        """Log density under the version's statistics less that under the parent's, shape (rows, C)."""
        # The density in the parent's units is that in the version's times the determinant of the map between them.
        volume = 3 * np.log(self.scale)
        gains: Float64 = _log_density(self.restate(rows), self.own) + volume - _log_density(rows, self.usual)
        return gains


def _transform(rows: RowStatistics, scale: Float64, shift: Float64) -> RowStatistics:
    """The statistics of ``scale * z + shift``, from those of z."""
    mean, square = rows.mean, rows.mean_square
    return RowStatistics(scale * mean + shift, scale**2 * square + 2 * scale * shift * mean + shift**2)


def _log_density(rows: RowStatistics, expected: ExpectedMoments) -> Float64:
    """Of independent normal moments, without the constant, shape (rows, C)."""
    off_mean, off_square = expected.standardized(rows.mean, rows.mean_square)
    density: Float64 = -(off_mean**2 + off_square**2) / 2 - np.log(expected.mean_spread * expected.square_spread)
    return density
