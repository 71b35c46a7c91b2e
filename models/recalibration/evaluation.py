"""Which gates a re-calibrated version goes through, and the figures that they need."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.classification import Classes, count_classes, predicted_classes, probabilities
from models.datatypes import Arrays
from models.manifest import Gate, Manifest
from models.recalibration import gates
from models.recalibration.adaptation import AdaptiveNetwork, Pass
from models.recalibration.rows import LabelledRows
from models.repository import held_out
from models.repository.bundle import Bundle
from models.runtime.load import load


@dataclass(frozen=True)
class Estimation:
    """How the statistics of a version were estimated.

    Attributes:
        count: rows that they were estimated from.
        network: the parent's.
        before, after: passes of these rows, with the parent's statistics and with the new ones.
    """

    count: int
    network: AdaptiveNetwork
    before: Pass
    after: Pass


def evaluate(
    parent: Bundle, candidate: Bundle, estimation: Estimation, labelled: LabelledRows | None
) -> tuple[Gate, ...]:
    """All gates that apply: those about classes need a model that classifies, some of them held-out or labelled rows.

    Args:
        parent: the version that the candidate was made from.
        candidate: the re-calibrated version.
        estimation: how its statistics were estimated.
        labelled: rows on which it must not do worse.
    """
    network, before, after = estimation.network, estimation.before, estimation.after
    kept = None if parent.held_out is None else held_out.unpack(parent.held_out, parent.manifest.inputs)
    run_parent, run_candidate = load(parent.folded, optimize=True), load(candidate.folded, optimize=True)
    outputs_on_kept = {} if kept is None else run_parent(kept)
    drift = network.divergence(before.batch, before.mixed)
    found = [
        gates.rows(estimation.count),
        gates.drift(drift, network.divergence(after.batch, after.mixed)),
        gates.growth([*before.outputs.values(), *outputs_on_kept.values()], after.outputs.values()),
    ]
    if parent.manifest.num_classes is None:
        return tuple(found)

    output, kind = parent.manifest.outputs[0].name, parent.manifest.scores
    scores, usual = after.outputs[output], outputs_on_kept.get(output)
    found += [
        gates.diversity(_class_counts(scores), _reference_counts(parent.manifest, usual)),
        gates.information(probabilities(scores, kind), None if usual is None else probabilities(usual, kind)),
    ]
    if kept is not None and usual is not None:
        mixed = _resample(kept, predicted_classes(usual), _class_counts(before.outputs[output]))
        unexplained = network.divergence(before.batch, network.run(mixed, 1.0).batch)
        found += [
            gates.label_shift(drift, unexplained),
            gates.agreement(predicted_classes(usual), predicted_classes(run_candidate(kept)[output])),
        ]
    if labelled is not None:
        correct = (
            predicted_classes(run(labelled.rows)[output]) == labelled.labels for run in (run_parent, run_candidate)
        )
        found.append(gates.accuracy(*correct))
    return tuple(found)


def _class_counts(scores: NDArray[np.generic]) -> NDArray[np.int64]:
    return count_classes(predicted_classes(scores), scores.shape[1])


def _reference_counts(manifest: Manifest, usual: NDArray[np.generic] | None) -> NDArray[np.int64] | None:
    """Predicted classes of all held-out rows, else of those that the bundle keeps."""
    if manifest.drift is not None and manifest.drift.classes is not None:
        return np.array(manifest.drift.classes.counts)
    return None if usual is None else _class_counts(usual)


def _resample(rows: Arrays, classes: Classes, counts: NDArray[np.int64]) -> Arrays:
    """As many rows as there are, some of them repeated, with the mix of classes in `counts` as far as they have it.

    Args:
        rows: to draw from.
        classes: of each row.
        counts: rows of each class, relative to the others, shape (K,).
    """
    weight = (counts / np.maximum(count_classes(classes, len(counts)), 1))[classes]
    if not weight.any():
        return rows
    # Systematic: a row is drawn as often as its weight says, rounded up or down.
    steps = (np.arange(len(classes)) + 0.5) / len(classes)
    drawn = np.searchsorted(np.cumsum(weight) / weight.sum(), steps).clip(max=len(classes) - 1)
    return {name: values[drawn] for name, values in rows.items()}
