"""Class scores, their probabilities, and the predicted class of each row.

Whether a model classifies, and into how many classes, is `models.manifest.Manifest.num_classes`.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.batchnorm import Float64

Classes = NDArray[np.int64]
"""The index of the predicted class of each row, shape (rows,)."""

ScoreKind = Literal["logits", "probabilities"]


def probabilities(scores: NDArray[Any], kind: ScoreKind) -> Float64:
    """Probabilities of the classes, float64, in the shape of the scores.

    Args:
        scores: classes on the last axis.
        kind: what the scores are; probabilities are returned as they are.
    """
    values = scores.astype(np.float64)
    return values if kind == "probabilities" else softmax(values)


def softmax(logits: Float64) -> Float64:
    """Probabilities that add up to 1 along the last axis, in the shape of the logits."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))  # the largest exponent is 0: none overflows
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def predicted_classes(scores: NDArray[Any]) -> Classes:
    """The class with the largest score of each row; of equal ones the first.

    Args:
        scores: shape (rows, K), real numbers. A row with a NaN is of the class of the first one.
    """
    return np.asarray(scores.argmax(axis=1), np.int64)


def count_classes(classes: Classes, num_classes: int) -> NDArray[np.int64]:
    """Rows by predicted class, shape (K,)."""
    return np.bincount(classes, minlength=num_classes).astype(np.int64)
