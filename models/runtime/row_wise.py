"""Whether rows give the same outputs beside other rows as alone, so that several requests may share a run."""

from collections.abc import Callable, Mapping, Sequence
from math import inf
from time import perf_counter
from typing import NamedTuple

import numpy as np

from models.datatypes import Array, Arrays
from models.manifest import TensorSpec
from models.rows import random_rows

_FREE_SIZE = 8
"""Of an axis behind the first one that has any size."""


class RowTrial(NamedTuple):
    """What running two rows together and alone has shown.

    Attributes:
        is_row_wise: whether they have the same outputs together as each alone.
        seconds: the shorter run of a row alone.
    """

    is_row_wise: bool
    seconds: float


def try_rows(
    run: Callable[[Mapping[str, Array]], Arrays], inputs: Sequence[TensorSpec], tolerance: float = 1e-6
) -> RowTrial:
    """Run two random rows together, and then each alone.

    Args:
        run: runs the graph.
        inputs: of the graph, none of them text; the first axis of each is the batch.
        tolerance: largest difference of any output, as a fraction of the largest absolute output where that is above 1.

    Raises:
        InvalidInput, InferenceFailed: the graph cannot be run on such rows.
    """
    rows = random_rows(inputs, 2, seed=0, free_size=_FREE_SIZE)
    together = run(rows)
    is_row_wise = all(array.shape[:1] == (2,) for array in together.values())
    seconds = inf
    for row in range(2):
        start = perf_counter()
        alone = run({name: array[row : row + 1] for name, array in rows.items()})
        seconds = min(seconds, perf_counter() - start)
        is_row_wise &= all(_are_close(alone[name], array[row : row + 1], tolerance) for name, array in together.items())
    return RowTrial(is_row_wise, seconds)


def _are_close(one: Array, other: Array, tolerance: float) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.kind not in "fV":
        return bool((one == other).all())
    one, other = one.astype(np.float64), other.astype(np.float64)
    scale = np.abs(one[np.isfinite(one)]).max(initial=1.0)
    return np.allclose(one, other, rtol=0.0, atol=tolerance * scale, equal_nan=True)
