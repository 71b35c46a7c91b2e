"""Random rows to compare graphs on."""

from collections.abc import Sequence

import numpy as np

from models.datatypes import FLOATING, Arrays, to_numpy
from models.manifest import TensorSpec

_FREE_SIZE = 64
"""Of axes other than the batch axis, where the graph leaves them free."""


def random_rows(inputs: Sequence[TensorSpec], count: int, seed: int) -> Arrays:
    """Rows for every input: standard normal, or 0 and 1 where the type has no fractions, as digits where it is text."""
    generator = np.random.default_rng(seed)
    rows: Arrays = {}
    for spec in inputs:
        shape = (count, *(size if size > 0 else _FREE_SIZE for size in spec.shape[1:]))
        fractional = spec.datatype in FLOATING
        values = generator.standard_normal(shape) if fractional else generator.integers(0, 2, shape)
        written = values.astype(str) if spec.datatype == "BYTES" else values
        rows[spec.name] = written.astype(to_numpy(spec.datatype))
    return rows
