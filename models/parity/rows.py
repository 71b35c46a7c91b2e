"""Random rows to compare graphs on."""

from collections.abc import Sequence

import numpy as np

from models.datatypes import FLOATING, Arrays, to_numpy
from models.manifest import TensorSpec

_FREE_SIZE = 64
"""Of axes other than the batch axis, where the graph leaves them free."""


def random_rows(inputs: Sequence[TensorSpec], count: int, seed: int) -> Arrays:
    """Rows for every input: standard normal, or 0 and 1 where the type has no fractions, as digits where it is text.

    An input whose first axis is not of free size gets one tensor of its shape.
    """
    generator = np.random.default_rng(seed)
    rows: Arrays = {}
    for spec in inputs:
        free = [count if axis == 0 else _FREE_SIZE for axis in range(len(spec.shape))]
        shape = tuple(free[axis] if size < 0 else size for axis, size in enumerate(spec.shape))
        fractional = spec.datatype in FLOATING
        values = generator.standard_normal(shape) if fractional else generator.integers(0, 2, shape)
        written = np.asarray(values).astype(str) if spec.datatype == "BYTES" else np.asarray(values)
        rows[spec.name] = written.astype(to_numpy(spec.datatype))
    return rows


def mix_rows(rows: Arrays, other: Arrays) -> Arrays:
    """The rows, with every second one from the others in its place."""
    mixed = {name: values.copy() for name, values in rows.items()}
    for name, values in mixed.items():
        values[1::2] = other[name][1::2]
    return mixed


def kept_rows(outputs: Arrays) -> Arrays:
    """What is computed of the rows that `mix_rows` keeps."""
    return {name: values[::2] for name, values in outputs.items()}
