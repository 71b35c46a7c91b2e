"""Unlabelled rows -> new statistics in every normalisation layer -> a new version, checked.

The rows go once through the adaptive graph (`models.graph.adapt`), which gives every layer's new statistics exactly;
these are written into the source graph, which is assembled as any other. The gates (`models.recalibration.gates`)
decide whether the result may be published. The weights stay as they are, and the parent is not changed.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.assemble import assemble, signed_lineage
from models.classification import Classes
from models.datatypes import Arrays
from models.errors import InvalidInput
from models.graph.adapt import restate
from models.graph.load import parse
from models.manifest import Parent, Parity, RecalibrationRecord
from models.model_info import ModelInfo
from models.parity import rounding
from models.recalibration.accuracy import AccuracyEstimator
from models.recalibration.adaptation import AdaptiveNetwork
from models.recalibration.candidate import Candidate
from models.recalibration.evaluation import Estimation, evaluate, usual_rows
from models.recalibration.moved_rows import MovedRows
from models.recalibration.rows import LabelledRows, validate_estimation_rows, validate_labelled_rows
from models.repository.bundle import Bundle

Step = Literal["estimating", "folding", "checking"]


def recalibrate(
    parent: Bundle,
    version: int,
    rows: Arrays,
    *,
    prior: float | None = None,
    only_moved: bool = False,
    labelled: LabelledRows | None = None,
    is_in_order: bool = False,
    with_accuracy: bool = True,
    served: Bundle | None = None,
    on_step: Callable[[Step], None] = lambda _: None,
) -> Candidate:
    """Estimate new statistics, assemble a version with them, and check it. Nothing is published.

    Args:
        parent: the version to start from. One that was re-calibrated itself keeps held-out rows that are not usual for
            it, so that gates and estimates do without: `Repository.trained_version` is a better one to start from.
        version: its number.
        rows: for every input of the model, shape (n, ...), of its type.
        prior: how many rows the parent's statistics count as: N in `models.graph.adapt`. Estimated for each layer where
            it is not given.
        only_moved: estimate from the rows that have moved alone, where the others are as the parent's held-out rows:
            for a version that answers the rows of its domain (`models.drift.domains`).
        labelled: rows on which the new version must not do worse; with `only_moved`, those of them that have moved.
        is_in_order: whether the rows are in the order in which they were seen: then they must have stopped moving.
        with_accuracy: estimate the accuracy before and after too, which takes some seconds for a large network. Without
            it, there is one gate less.
        served: another version that was made from the parent, and has answered the rows: the new one must not be worse.
        on_step: called with each step when it begins.

    Raises:
        InvalidInput: the rows or labels are not the model's, there are too few or too many, or they have values that
            are not finite; the prior is not a number of rows; or the rows that have moved cannot be told from the
            others.
        GraphError: the graph cannot adapt, or the graphs with the new statistics do not agree.
    """
    count = validate_estimation_rows(rows, parent.manifest.inputs)
    if prior is not None and not 0 <= prior < np.inf:
        raise InvalidInput(f"got {prior}, expected a number of rows, 0 or more", "prior")
    if labelled is not None:
        validate_labelled_rows(labelled, parent.manifest)

    on_step("estimating")
    moved = None
    if only_moved:
        moved = MovedRows(parent, rows)
        rows = moved.rows
        labelled = None if labelled is None else moved.labelled(labelled)
        count = validate_estimation_rows(rows, parent.manifest.inputs)
    source = parse(parent.source)
    network = AdaptiveNetwork(source)
    before = network.run(rows, 1.0)
    after = network.run(rows, None if prior is None else prior / (prior + count))

    on_step("folding")
    bundle = assemble(
        restate(source, after.mixed),
        ModelInfo.of(parent.manifest),
        signed_lineage(
            "recalibrated",
            Parent(model=parent.manifest.model, version=version),
            RecalibrationRecord(
                rows=count,
                moved_of=None if moved is None else len(moved.chosen),
                prior=prior,
                weights=after.weights,
                gates=(),
            ),
        ),
        rows=rows,  # two numbers a channel were estimated from them: thresholds from them are as good as from others
        held_out=parent.held_out,
        tolerance=_given_tolerance(parent.manifest.parity),
    )

    on_step("checking")
    estimator = _calibrate_estimator(parent, network) if with_accuracy else None
    found = evaluate(parent, bundle, Estimation(rows, network, before, after, is_in_order), labelled, estimator, served)
    candidate = Candidate.of(bundle, found.gates, found.accuracy)
    predicted = found.predicted
    if predicted is not None and moved is not None:
        old, new = (_spread(classes, moved.chosen) for classes in predicted)
        predicted = old, new
    return replace(candidate, served_accuracy=found.served, predicted=predicted, gain=found.gain)


def _spread(classes: Classes, chosen: NDArray[np.bool_]) -> Classes:
    """Classes of the chosen rows among all rows: of the others, the same one for every version."""
    spread = np.zeros(len(chosen), classes.dtype)
    spread[chosen] = classes
    return spread


def _given_tolerance(parity: Parity) -> float | None:
    """The tolerance that the parent was given; None where it follows from the network.

    Bundles that are older than such tolerances have the smallest one, whatever their network.
    """
    is_given = parity.rounding is None and parity.tolerance != rounding.SMALLEST
    return parity.tolerance if is_given else None


def _calibrate_estimator(parent: Bundle, network: AdaptiveNetwork) -> AccuracyEstimator | None:
    """Of the accuracy of a version and of those made from it; None where it cannot be estimated."""
    kept = usual_rows(parent)
    if kept is None or parent.manifest.num_classes is None:
        return None
    return AccuracyEstimator.calibrate(parent.manifest, network, kept)
