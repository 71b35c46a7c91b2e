"""The classification extension: the k best classes of each row, as text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def best(scores: NDArray[Any], count: int, labels: Sequence[str] | None) -> list[list[str]]:
    """The `count` largest scores of each row, best first, as ``<score>:<index>`` or ``<score>:<index>:<label>``.

    Args:
        scores: shape (rows, ...); everything behind the first axis is one row.
        count: how many; all where there are fewer.
        labels: names of the classes, in the order of a row.

    Returns:
        One list a row. Of equal scores the one with the smaller index comes first.
    """
    rows = scores.reshape(len(scores), -1) if scores.size else scores.reshape(len(scores), 0)
    order = np.argsort(-rows.astype(np.float64), axis=1, kind="stable")[:, :count]
    return [
        [_text(row[index], int(index), labels) for index in indices] for row, indices in zip(rows, order, strict=True)
    ]


def to_bytes(texts: Sequence[Sequence[str]]) -> bytes:
    """The binary form of a BYTES tensor: each element's length in four little-endian bytes, then its UTF-8."""
    encoded = [text.encode() for row in texts for text in row]
    return b"".join(len(element).to_bytes(4, "little") + element for element in encoded)


def _text(score: np.generic, index: int, labels: Sequence[str] | None) -> str:
    text = f"{score}:{index}"
    return f"{text}:{labels[index]}" if labels is not None and index < len(labels) else text
