"""Which gates a re-calibrated version goes through, and the figures that they need."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.accuracy.information import relative_information
from models.batchnorm import Float64
from models.classification import Classes, count_classes, predicted_classes, probabilities
from models.datatypes import Arrays
from models.drift.assessment import MIN_WINDOW_ROWS
from models.drift.detector import Detector
from models.manifest import AccuracyEstimate, AccuracyGain, Gate, Manifest
from models.observation import ObservationReader, RowStatistics
from models.recalibration import conditions, gates
from models.recalibration.accuracy import AccuracyEstimator
from models.recalibration.adaptation import AdaptiveNetwork, Pass
from models.recalibration.joined_rows import join_halves
from models.recalibration.limits import MIN_ROWS_TO_PUBLISH
from models.recalibration.moved import moved_share
from models.recalibration.one_class import each_class, each_class_shifted
from models.recalibration.rows import LabelledRows
from models.recalibration.sign_test import SignTest
from models.repository import held_out
from models.repository.bundle import Bundle
from models.rows import count_rows
from models.runtime.load import load

_BEYOND_CLASSES = 2.0
"""Times the largest drift of one class: what no mix of classes reaches."""


@dataclass(frozen=True)
class Estimation:
    """How the statistics of a version were estimated.

    Attributes:
        rows: that they were estimated from, for every input, shape (n, ...).
        network: the parent's.
        before, after: passes of these rows, with the parent's statistics and with the new ones.
        is_in_order: whether the rows are in the order in which they were seen.
    """

    rows: Arrays
    network: AdaptiveNetwork
    before: Pass
    after: Pass
    is_in_order: bool = False

    @property
    def count(self) -> int:
        """How many rows."""
        return count_rows(self.rows)


@dataclass(frozen=True)
class Evaluation:
    """What was found.

    Attributes:
        gates: all that apply: those about classes need a model that classifies, some of them held-out or labelled rows.
        accuracy: estimated on the rows, of the parent and of the candidate; None where it is not known.
        served: that of the version that has answered them; None where it is not known or asked for.
        gain: of the candidate over the version that has answered them; None where it is not known.
        predicted: the classes of the rows by the version that has answered them and by the candidate; None for a model
            that does not classify.
    """

    gates: tuple[Gate, ...]
    accuracy: tuple[AccuracyEstimate, AccuracyEstimate] | None = None
    served: AccuracyEstimate | None = None
    predicted: tuple[Classes, Classes] | None = None
    gain: AccuracyGain | None = None


def evaluate(
    parent: Bundle,
    candidate: Bundle,
    estimation: Estimation,
    labelled: LabelledRows | None = None,
    estimator: AccuracyEstimator | None = None,
    served: Bundle | None = None,
) -> Evaluation:
    """Evaluate a re-calibrated version.

    Args:
        parent: the version that the candidate was made from.
        candidate: the re-calibrated version.
        estimation: how its statistics were estimated.
        labelled: rows on which it must not do worse than the version that has answered.
        estimator: of the parent's accuracy and the candidate's; None where there is none.
        served: another version of the parent's weights, which has answered the rows; the parent where it is None.
    """
    kept = usual_rows(parent)
    run_parent, run_candidate = load(parent.folded, optimize=True), load(candidate.folded, optimize=True)
    run_served = run_parent if served is None else load(served.folded, optimize=True)
    outputs_on_kept = {} if kept is None else run_parent(kept)
    drift = estimation.network.divergence(estimation.before.batch, estimation.before.mixed)
    found = _evaluate_rows(parent, estimation, drift, kept, outputs_on_kept)
    if parent.manifest.num_classes is None:
        return Evaluation(tuple(found))

    output, kind = parent.manifest.outputs[0].name, parent.manifest.scores
    before, after = estimation.before.outputs[output], estimation.after.outputs[output]
    answered = before if served is None else run_served(estimation.rows)[output]
    old, new = probabilities(before, kind), probabilities(after, kind)
    accuracy = served_accuracy = gain = None
    if kept is None:
        found += [gates.diversity(_class_counts(after)), gates.information(new), gates.gain(old, new)]
    else:
        usual = outputs_on_kept[output]
        expected = probabilities(usual, kind)
        known = _HeldOut(estimation.network, kept, expected, lambda found: probabilities(found.outputs[output], kind))
        label_shift = gates.label_shift(drift, known.drift_from_mix(estimation.before, _class_counts(before)))
        if estimator is not None:
            is_label_shift = not label_shift.passed
            accuracy = estimator.estimate(estimation.before, estimation.after, is_label_shift=is_label_shift)
            if not is_label_shift:
                gain = estimator.estimate_gain(probabilities(answered, kind), estimation.after)
            if served is not None:
                served_accuracy = estimator.estimate_other(
                    probabilities(answered, kind), estimation.after, is_label_shift=is_label_shift
                )
        is_mended = accuracy is not None and conditions.is_mended(*accuracy, old, new)
        is_lost = conditions.is_lost(old, new, drift, _BEYOND_CLASSES * known.largest_drift_of_a_class())
        found += [
            gates.diversity(_class_counts(after), _reference_counts(parent.manifest, usual), is_lost=is_lost),
            gates.information(
                new,
                expected,
                joined=known.information_of_joined(),
                one_class=known.largest_information_of_a_class() if is_mended else None,
            ),
            gates.gain(old, new, expected),
            *([] if accuracy is None else [gates.estimated_gain(served_accuracy or accuracy[0], accuracy[1])]),
            label_shift,
            gates.confident_agreement(old, predicted_classes(after), expected),
            gates.agreement(predicted_classes(usual), predicted_classes(run_candidate(kept)[output])),
        ]
    if labelled is not None:
        right = [
            predicted_classes(run(labelled.rows)[output]) == labelled.labels for run in (run_served, run_candidate)
        ]
        found.append(gates.accuracy(*right))
        if SignTest.of(*right).is_better:
            found = [_outvote(gate) for gate in found]
    predicted = predicted_classes(answered), predicted_classes(after)
    return Evaluation(tuple(found), accuracy, served_accuracy, predicted, gain)


def usual_rows(version: Bundle) -> Arrays | None:
    """Held-out rows that are usual for a version; None where it has none, or those of its parent."""
    if version.held_out is None or version.manifest.lineage.recalibration is not None:
        return None
    return held_out.unpack(version.held_out, version.manifest.inputs)


def _evaluate_rows(
    parent: Bundle, estimation: Estimation, drift: float, kept: Arrays | None, outputs_on_kept: Arrays
) -> list[Gate]:
    """The gates of every model."""
    network, before, after = estimation.network, estimation.before, estimation.after
    found = [
        gates.rows(estimation.count),
        gates.drift(drift, network.divergence(after.batch, after.mixed)),
        evaluate_mixture(parent, estimation, drift, kept),
        gates.growth([*before.outputs.values(), *outputs_on_kept.values()], after.outputs.values()),
    ]
    if estimation.is_in_order and estimation.count >= MIN_ROWS_TO_PUBLISH:
        half = estimation.count // 2
        between = _divergence(estimation, slice(half), slice(half, None))
        by_chance = _divergence(estimation, slice(0, None, 2), slice(1, None, 2))
        found.append(gates.trend(drift, between, by_chance))
    return found


def _divergence(estimation: Estimation, some: slice, others: slice) -> float:
    """Symmetric KL divergence of some rows from others, mean over channels and layers."""
    one, other = (
        estimation.network.run({name: values[part] for name, values in estimation.rows.items()}, 1.0).batch
        for part in (some, others)
    )
    return estimation.network.divergence(one, other)


def _outvote(gate: Gate) -> Gate:
    is_outvoted = gate.name in gates.OUTVOTED and not gate.passed
    return gate.model_copy(update={"outvoted": True}) if is_outvoted else gate


def evaluate_mixture(parent: Bundle, estimation: Estimation, drift: float, kept: Arrays | None) -> Gate:
    """Whether the rows have moved together.

    Args:
        parent, estimation: as of `evaluate`.
        drift: of the rows, as of `models.recalibration.gates.mixture`.
        kept: held-out rows that are usual for the parent; None where it has none.
    """
    return gates.mixture(drift, *_parts(parent, estimation, drift, kept), estimation.count)


def _parts(parent: Bundle, estimation: Estimation, drift: float, kept: Arrays | None) -> tuple[float, float | None]:
    """Drift of the rows that are not unusual by themselves, or of all; and the share that has moved, if it is known."""
    if parent.observed is None or parent.manifest.drift is None:
        return drift, None
    run = load(parent.observed, optimize=True)

    def observe(rows: Arrays) -> Mapping[str, RowStatistics]:
        outputs = run(rows)
        return ObservationReader(parent.manifest.layers, outputs).read(outputs)

    observed = observe(estimation.rows)
    moved = None if kept is None else moved_share(observed, observe(kept), parent.manifest.drift)
    scores, _ = Detector(parent.manifest.drift).row_scores(observed)
    if np.count_nonzero(scores <= 1) < MIN_WINDOW_ROWS:
        return drift, moved
    usual = estimation.network.run({name: values[scores <= 1] for name, values in estimation.rows.items()}, 1.0)
    return estimation.network.divergence(usual.batch, usual.mixed), moved


@dataclass(frozen=True)
class _HeldOut:
    """The parent's held-out rows.

    Attributes:
        network: the parent's.
        rows: for every input of the model, shape (m, ...).
        predicted: the parent's probabilities for them, shape (m, K).
        read: the probabilities in a pass.
    """

    network: AdaptiveNetwork
    rows: Arrays
    predicted: Float64
    read: Callable[[Pass], Float64]

    def drift_from_mix(self, seen: Pass, counts: NDArray[np.int64]) -> float:
        """Drift of rows from held-out rows with this mix of classes, shape (K,)."""
        mixed = _resample(self.rows, predicted_classes(self.predicted), counts)
        return self.network.divergence(seen.batch, self.network.run(mixed, 1.0).batch)

    def largest_drift_of_a_class(self) -> float:
        """Of the rows of one class alone; infinite where none has enough rows."""
        alone = (self.network.run(rows, 1.0) for rows in each_class(self.rows, predicted_classes(self.predicted)))
        return max((self.network.divergence(found.batch, found.mixed) for found in alone), default=np.inf)

    def largest_information_of_a_class(self) -> float:
        """Of the rows of one class alone, shifted or not, as of joined rows; infinite where none has enough rows."""
        alone = each_class_shifted(self.rows, predicted_classes(self.predicted))
        return max(map(self._information, alone), default=np.inf)

    def information_of_joined(self) -> float | None:
        """Of rows of no class, normalised by their own statistics, relative to that of these rows; None if unknown."""
        joined = join_halves(self.rows, predicted_classes(self.predicted))
        if joined is None:
            return None
        found = self._information(joined)
        return found if np.isfinite(found) else None

    def _information(self, rows: Arrays) -> float:
        return relative_information(self.read(self.network.run(rows)), self.predicted)


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
