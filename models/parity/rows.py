"""Rows to compare graphs on: those that a graph is finite on, and rows beside other rows."""

from collections.abc import Sequence

import numpy as np

from models.datatypes import Arrays, Run
from models.manifest import TensorSpec
from models.rows import random_rows


def is_finite(outputs: Arrays) -> bool:
    """Whether no number is NaN or infinite."""
    numbers = (values for values in outputs.values() if values.dtype.kind not in "OSU")
    return all(bool(np.isfinite(values.astype(np.float64)).all()) for values in numbers)


def needs_positive(run: Run, inputs: Sequence[TensorSpec]) -> bool:
    """Whether a graph is finite on rows from 0 to 1, and not on standard normal ones: it takes their logarithm or root.

    Raises:
        GraphError: it cannot be run on them.
    """
    normal, positive = (random_rows(inputs, 2, seed=2, positive=positive) for positive in (False, True))
    return not is_finite(run(normal)) and is_finite(run(positive))


def mix_rows(rows: Arrays, other: Arrays) -> Arrays:
    """The rows, with every second one from the others in its place."""
    mixed = {name: values.copy() for name, values in rows.items()}
    for name, values in mixed.items():
        values[1::2] = other[name][1::2]
    return mixed


def kept_rows(outputs: Arrays) -> Arrays:
    """What is computed of the rows that `mix_rows` keeps."""
    return {name: values[::2] for name, values in outputs.items()}
