"""Rows that are declared good -> a new version with a reference from them, checked. The graphs stay as they are.

Four fifths of the rows give a reference that the others are scored by; what is published is estimated from all. The
rows themselves are not kept.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np

from models import capabilities
from models.assemble import signed_lineage
from models.classification import count_classes, predicted_classes
from models.datatypes import Arrays
from models.drift.detector import Detector
from models.errors import InvalidInput
from models.manifest import Gate, NormLayer, Parent, ReferenceRecord
from models.observation import ObservationReader
from models.recalibration import gates
from models.recalibration.candidate import Candidate
from models.recalibration.limits import MAX_REFERENCE_ROWS, MIN_REFERENCE_ROWS, SET_ASIDE
from models.reference import Reference, estimate_reference
from models.repository.bundle import Bundle
from models.rows import validate_rows
from models.runtime.load import load

Step = Literal["estimating", "checking"]

_RATE = 0.05


def make_reference(
    parent: Bundle, version: int, rows: Arrays, *, on_step: Callable[[Step], None] = lambda _: None
) -> Candidate:
    """Estimate a reference, and make a version with it. Nothing is published.

    Args:
        parent: the version to start from.
        version: its number.
        rows: for every input of the model, shape (n, ...), of its type.
        on_step: called with each step when it begins.

    Raises:
        InvalidInput: the version is not observed, the rows are not the model's, or there are too few or too many.
        GraphError: onnxruntime cannot run the observed graph on the rows.
    """
    manifest = parent.manifest
    capabilities.require(manifest, "reference")
    count = validate_rows(rows, manifest.inputs, "rows")
    if not MIN_REFERENCE_ROWS <= count <= MAX_REFERENCE_ROWS:
        raise InvalidInput(f"got {count}, expected {MIN_REFERENCE_ROWS} to {MAX_REFERENCE_ROWS}", "rows")

    on_step("estimating")
    layers, drift = _estimate(parent, rows)

    on_step("checking")
    order = np.random.default_rng(0).permutation(count)  # rows come in an order: of time, or of classes
    checks = count // SET_ASIDE
    aside, others = ({name: values[part] for name, values in rows.items()} for part in (order[:checks], order[checks:]))
    found = [gates.rows(count), gates.false_alarms(_scores(parent, _estimate(parent, others), aside))]
    if (diversity := _diversity(parent, rows)) is not None:
        found.append(diversity)

    lineage = signed_lineage(
        "referenced",
        Parent(model=manifest.model, version=version),
        reference=ReferenceRecord(rows=count, gates=()),
    )
    changes = {
        "norm_layers": tuple(layer for layer in layers if isinstance(layer, NormLayer)),
        "watched_layers": tuple(layer for layer in layers if not isinstance(layer, NormLayer)),
        "drift": drift,
        "lineage": lineage,
    }
    return Candidate.of(replace(parent, manifest=manifest.model_copy(update=changes)), found)


def _estimate(parent: Bundle, rows: Arrays) -> Reference:
    return estimate_reference(parent.observed, parent.manifest.layers, parent.manifest.outputs[0], rows)


def _scores(parent: Bundle, reference: Reference, rows: Arrays) -> np.ndarray:
    assert parent.observed is not None  # noqa: S101 - for the type checker: the version is observed
    outputs = load(parent.observed, optimize=True)(rows)
    scores, _ = Detector(reference.drift).row_scores(ObservationReader(reference.layers, outputs).read(outputs), _RATE)
    return scores


def _diversity(parent: Bundle, rows: Arrays) -> Gate | None:
    """Whether the rows have the classes that the parent's held-out rows have; None if that is not known."""
    manifest, drift = parent.manifest, parent.manifest.drift
    if manifest.num_classes is None or drift is None or drift.classes is None:
        return None
    predicted = predicted_classes(load(parent.folded, optimize=True)(rows)[manifest.outputs[0].name])
    return gates.diversity(count_classes(predicted, manifest.num_classes), np.array(drift.classes.counts))
