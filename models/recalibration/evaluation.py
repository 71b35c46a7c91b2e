"""Which gates a re-calibrated version goes through, and the figures that they need."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.batchnorm import Float64
from models.classification import Classes, ScoreKind, count_classes, predicted_classes, probabilities
from models.datatypes import Arrays
from models.drift.assessment import MIN_WINDOW_ROWS
from models.drift.detector import Detector
from models.manifest import Gate, Manifest
from models.observation import ObservationReader
from models.recalibration import gates
from models.recalibration.adaptation import AdaptiveNetwork, Pass
from models.recalibration.rows import LabelledRows
from models.repository import held_out
from models.repository.bundle import Bundle
from models.rows import count_rows
from models.runtime.load import load

_MIN_CLASS_ROWS = 8
"""Rows of a class that tell how far the class alone is from the statistics of all."""

_CLASSES_TOGETHER, _BEYOND_CLASSES = 1.5, 2.0
"""Times the median, and the largest, drift of one class: what a mix of classes seldom reaches, and never does."""


@dataclass(frozen=True)
class Estimation:
    """How the statistics of a version were estimated.

    Attributes:
        rows: that they were estimated from, for every input, shape (n, ...).
        network: the parent's.
        before, after: passes of these rows, with the parent's statistics and with the new ones.
    """

    rows: Arrays
    network: AdaptiveNetwork
    before: Pass
    after: Pass

    @property
    def count(self) -> int:
        """How many rows."""
        return count_rows(self.rows)


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
        gates.mixture(drift, _drift_of_usual_rows(parent, estimation, drift)),
        gates.growth([*before.outputs.values(), *outputs_on_kept.values()], after.outputs.values()),
    ]
    if parent.manifest.num_classes is None:
        return tuple(found)

    output, kind = parent.manifest.outputs[0].name, parent.manifest.scores
    scores, usual = after.outputs[output], outputs_on_kept.get(output)
    old, new = probabilities(before.outputs[output], kind), probabilities(scores, kind)
    expected = None if usual is None else probabilities(usual, kind)
    alone = _OneClass(np.inf, np.inf, 1.0)
    if kept is not None and usual is not None and expected is not None:
        alone = _of_one_class(network, kept, expected, output, kind)
    is_lost = gates.is_lost(old, new, drift, _CLASSES_TOGETHER * alone.usual_drift)
    is_far = gates.is_lost(old, new, drift, _BEYOND_CLASSES * alone.largest_drift)
    found += [
        gates.diversity(_class_counts(scores), _reference_counts(parent.manifest, usual), is_lost=is_far),
        gates.information(new, expected, if_lost=alone.information if is_lost else None),
        gates.gain(old, new, expected),
    ]
    if kept is not None and usual is not None and expected is not None:
        mixed = _resample(kept, predicted_classes(usual), _class_counts(before.outputs[output]))
        unexplained = network.divergence(before.batch, network.run(mixed, 1.0).batch)
        found += [
            gates.label_shift(drift, unexplained),
            gates.confident_agreement(old, predicted_classes(scores), expected),
            gates.agreement(predicted_classes(usual), predicted_classes(run_candidate(kept)[output])),
        ]
    if labelled is None:
        return tuple(found)
    before_right, after_right = (
        predicted_classes(run(labelled.rows)[output]) == labelled.labels for run in (run_parent, run_candidate)
    )
    found.append(gates.accuracy(before_right, after_right))
    outvoted = gates.OUTVOTED if gates.is_gain(before_right, after_right) else frozenset()
    return tuple(
        gate.model_copy(update={"outvoted": True}) if gate.name in outvoted and not gate.passed else gate
        for gate in found
    )


def _drift_of_usual_rows(parent: Bundle, estimation: Estimation, drift: float) -> float:
    """Drift of the rows that are not unusual by themselves; that of all rows where this is not known."""
    if parent.observed is None or parent.manifest.drift is None:
        return drift
    outputs = load(parent.observed, optimize=True)(estimation.rows)
    observed = ObservationReader(parent.manifest.layers, outputs).read(outputs)
    scores, _ = Detector(parent.manifest.drift).row_scores(observed)
    if np.count_nonzero(scores <= 1) < MIN_WINDOW_ROWS:
        return drift
    usual = estimation.network.run({name: values[scores <= 1] for name, values in estimation.rows.items()}, 1.0)
    return estimation.network.divergence(usual.batch, usual.mixed)


class _OneClass(NamedTuple):
    """What held-out rows of a single class look like.

    Attributes:
        usual_drift, largest_drift: the median and the largest drift of a class; infinite where none has enough rows.
        information: the largest mutual information of a class, normalised by its own statistics, relative to all rows'.
    """

    usual_drift: float
    largest_drift: float
    information: float


def _of_one_class(
    network: AdaptiveNetwork, rows: Arrays, predicted: Float64, output: str, kind: ScoreKind
) -> _OneClass:
    classes = predicted_classes(predicted)
    drifts, information = [], []
    for one in np.flatnonzero(np.bincount(classes) >= _MIN_CLASS_ROWS):
        alone = {name: values[classes == one] for name, values in rows.items()}
        unchanged = network.run(alone, 1.0)
        drifts.append(network.divergence(unchanged.batch, unchanged.mixed))
        spread = probabilities(network.run(alone).outputs[output], kind)
        information.append(gates.relative_information(spread, predicted))
    if not drifts:
        return _OneClass(np.inf, np.inf, 1.0)
    return _OneClass(float(np.median(drifts)), max(drifts), max(information))


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
