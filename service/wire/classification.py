"""Classification, an extension of the Open Inference Protocol: the k best classes of each row, as text."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray


def best(scores: NDArray[Any], count: int, labels: Sequence[str] | None) -> NDArray[np.object_]:
    """The `count` largest scores of each row, best first, as ``<score>:<index>`` or ``<score>:<index>:<label>``.

    Args:
        scores: shape (rows, ...); the axes behind the first are one row.
        count: how many; all of them if there are fewer.
        labels: names of the classes, in the order of a row.

    Returns:
        A BYTES tensor, shape (rows, count). Of equal scores, the one with the smaller index is first.
    """
    rows = scores.reshape(len(scores), prod(scores.shape[1:]))
    order = np.argsort(-rows.astype(np.float64), axis=1, kind="stable")[:, :count]
    texts = np.empty(order.shape, dtype=object)
    for place, index in np.ndenumerate(order):
        texts[place] = _text(rows[place[0], index], int(index), labels)
    return texts


def _text(score: np.generic, index: int, labels: Sequence[str] | None) -> str:
    text = f"{score}:{index}"
    return f"{text}:{labels[index]}" if labels is not None and index < len(labels) else text
