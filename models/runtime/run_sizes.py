"""How many rows the runs of a device have: it plans a run anew when that changes, so it meets few numbers only."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle

import numpy as np

from models.datatypes import Array, Arrays, Run
from models.rows import count_rows

_PATIENCE = 32
"""Runs that a smaller size would have done for, before it is taken. Planning a ResNet-50 anew takes as long as 20."""


def buckets(max_rows: int) -> tuple[int, ...]:
    """Powers of two up to a number of rows, and the number itself."""
    return (*(1 << power for power in range((max_rows - 1).bit_length())), max_rows)


def in_all_sizes(run: Run, sizes: Sequence[int]) -> Run:
    """The same run, in parts of all these sizes in turn: each has kernels of its own, which may overflow alone.

    Args:
        run: of rows that do not depend on each other.
        sizes: of the parts; empty for whole runs.
    """
    return lambda inputs: run_in_parts(run, inputs, cycle(sizes)) if sizes else run(inputs)


def run_in_parts(run: Run, inputs: Mapping[str, Array], sizes: Iterable[int]) -> Arrays:
    """Run parts of the rows one after the other, and join their outputs.

    Args:
        run: of rows that do not depend on each other.
        inputs: by name.
        sizes: of the parts, of as many rows as the inputs or more.
    """
    start, parts = 0, []
    for size in sizes:
        parts.append(run({name: array[start : start + size] for name, array in inputs.items()}))
        start += size
        if start >= count_rows(inputs):
            break
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class RunSizes:
    """Chooses the number of rows that a run is filled up to, where each change takes longer than several runs.

    It grows at once, and shrinks after some runs that all had fewer rows.

    Args:
        sizes: to choose from, ascending; a run of more rows than the last one is not filled up.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self._sizes = sizes
        self._size = self._needed = self._smaller_runs = 0

    def choose(self, rows: int) -> int:
        """The size of a run of this many rows."""
        size = next((size for size in self._sizes if size >= rows), rows)
        if not 0 < rows <= self._sizes[-1]:
            return size
        if size >= self._size:
            self._size, self._needed, self._smaller_runs = size, 0, 0
            return size
        self._needed, self._smaller_runs = max(self._needed, size), self._smaller_runs + 1
        if self._smaller_runs >= _PATIENCE:
            self._size, self._needed, self._smaller_runs = self._needed, 0, 0
        return self._size
