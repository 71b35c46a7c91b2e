"""Classification, an extension of the Open Inference Protocol: the k best classes of each row, as text."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput

MAX_TEXTS = 1 << 18
"""In one output, all 1,000 classes of 262 rows: a text takes a hundred times the memory and time of a number."""


def best(
    scores: NDArray[Any], count: int, labels: Sequence[str] | None, field: str, *, batched: bool = True
) -> NDArray[np.object_]:
    """The `count` largest scores of each row, best first, as ``<score>:<index>`` or ``<score>:<index>:<label>``.

    Args:
        scores: shape (rows, ...); the axes behind the first are one row.
        count: how many; all of them if there are fewer.
        labels: names of the classes, in the order of a row.
        field: where the request has the count, for the error.
        batched: whether the first axis is the batch; else all scores are one row.

    Returns:
        A BYTES tensor, shape (rows, count), or (count,) of one row without a batch. Of equal scores, the one with the
        smaller index is first.

    Raises:
        InvalidInput: these are more than `MAX_TEXTS`.
    """
    rows = scores.reshape((len(scores), prod(scores.shape[1:])) if batched else (1, scores.size))
    number, classes = rows.shape
    if number * min(count, classes) > MAX_TEXTS:
        raise InvalidInput(
            f"got {min(count, classes)} classes of {number} rows, expected at most {MAX_TEXTS} texts: "
            "request the tensor itself",
            field,
        )
    order = np.argsort(-rows.astype(np.float64), axis=1, kind="stable")[:, :count]
    texts = np.empty(order.shape, dtype=object)
    for place, index in np.ndenumerate(order):
        texts[place] = _text(rows[place[0], index], int(index), labels)
    return texts if batched else texts[0]


def _text(score: np.generic, index: int, labels: Sequence[str] | None) -> str:
    text = f"{score}:{index}"
    return f"{text}:{labels[index]}" if labels is not None and index < len(labels) else text
