"""The rows that a re-calibration is given: some to estimate from, and some whose classes are known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.datatypes import Arrays
from models.errors import InvalidInput
from models.manifest import Manifest, TensorSpec
from models.recalibration.limits import MAX_ROWS_TO_ESTIMATE, MIN_ROWS_TO_ESTIMATE
from models.rows import validate_rows


@dataclass(frozen=True)
class LabelledRows:
    """Rows whose classes are known.

    Attributes:
        rows: for every input of the model, shape (m, ...).
        labels: indices of the classes, shape (m,).
    """

    rows: Arrays
    labels: NDArray[np.int64]


def validate_estimation_rows(rows: Arrays, inputs: Sequence[TensorSpec]) -> int:
    """Check rows to estimate from. Returns their number.

    Raises:
        InvalidInput: they are not the model's, are too few or too many, or have values that are not finite.
    """
    count = validate_rows(rows, inputs, "rows")
    if not MIN_ROWS_TO_ESTIMATE <= count <= MAX_ROWS_TO_ESTIMATE:
        raise InvalidInput(f"got {count}, expected {MIN_ROWS_TO_ESTIMATE} to {MAX_ROWS_TO_ESTIMATE}", "rows")
    return count


def validate_labelled_rows(labelled: LabelledRows, manifest: Manifest) -> None:
    """Check labelled rows.

    Raises:
        InvalidInput: the rows are refused, the model does not classify, or a label is not one of its classes.
    """
    count = validate_estimation_rows(labelled.rows, manifest.inputs)
    output, labels, num_classes = manifest.outputs[0].name, labelled.labels, manifest.num_classes
    if num_classes is None:
        raise InvalidInput(f"output '{output}' has no class scores, so rows cannot have labels", "labels")
    if labels.shape != (count,) or labels.dtype != np.int64:
        raise InvalidInput(
            f"got {labels.dtype} of shape {list(labels.shape)}, expected one integer for each of the {count} rows",
            "labels",
        )
    if not ((labels >= 0) & (labels < num_classes)).all():
        raise InvalidInput(f"output '{output}' has the classes 0 to {num_classes - 1}", "labels")
