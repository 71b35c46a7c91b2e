"""The rows that a re-calibration is given: some to estimate from, and some whose classes are known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.classification import Classes
from models.datatypes import Array, Arrays
from models.errors import InvalidInput
from models.manifest import Manifest, TensorSpec
from models.recalibration.limits import MAX_ROWS_TO_ESTIMATE, MIN_ROWS_TO_ESTIMATE
from models.rows import validate_rows

UNKNOWN, NO_CLASS = -1, -2
"""Labels of rows whose class is not known, and of rows that are of no class of the model: no prediction is right."""

MAX_ROWS_TO_LABEL = 32
"""That are named: more than 24 labels hardly decide more (docs/recalibration.md)."""


@dataclass(frozen=True)
class LabelledRows:
    """Rows whose classes are known.

    Attributes:
        rows: for every input of the model, shape (m, ...).
        labels: indices of the classes, or `NO_CLASS`, shape (m,).
    """

    rows: Arrays
    labels: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Mapping[str, Array], labels: NDArray[np.int64]) -> "LabelledRows":
        """The rows whose labels are known.

        Args:
            rows: for every input of the model, shape (n, ...).
            labels: of them, shape (n,).

        Raises:
            InvalidInput: none is.
        """
        known = labels != UNKNOWN
        if not known.any():
            raise InvalidInput("none of them is known", "labels")
        return cls({name: values[known] for name, values in rows.items()}, labels[known])


def choose_rows_to_label(old: Classes, new: Classes, labels: NDArray[np.int64] | None = None) -> tuple[int, ...]:
    """The rows whose classes would tell which of two versions is better: they predict different ones.

    Args:
        old, new: the classes that each version predicts, shape (n,).
        labels: of the rows, shape (n,): those that are known are left out.

    Returns:
        Indices of at most `MAX_ROWS_TO_LABEL` rows, in an order that is random and always the same.
    """
    asked = old != new
    if labels is not None:
        asked &= labels == UNKNOWN
    order = np.random.default_rng(0).permutation(len(asked))
    return tuple(map(int, order[asked[order]][:MAX_ROWS_TO_LABEL]))


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
    count = validate_rows(labelled.rows, manifest.inputs, "rows")
    output, labels, num_classes = manifest.outputs[0].name, labelled.labels, manifest.num_classes
    if num_classes is None:
        raise InvalidInput(f"output '{output}' has no class scores, so rows cannot have labels", "labels")
    if labels.shape != (count,) or labels.dtype != np.int64:
        raise InvalidInput(
            f"got {labels.dtype} of shape {list(labels.shape)}, expected one integer for each of the {count} rows",
            "labels",
        )
    if not (((labels >= 0) & (labels < num_classes)) | (labels == NO_CLASS)).all():
        raise InvalidInput(
            f"output '{output}' has the classes 0 to {num_classes - 1}; {NO_CLASS} is none of them", "labels"
        )
