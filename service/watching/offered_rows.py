"""Rows of one served batch, or of several, that are to be observed."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from models.datatypes import Array
from service.catalog.served_version import ServedVersion


class OfferedRows(NamedTuple):
    """Rows that wait to be observed.

    Attributes:
        served: the version that answered them.
        inputs: by name.
        rows: how many they are.
        skipped: batches that were not taken since the previous ones.
        batches: that they are from.
    """

    served: ServedVersion
    inputs: Mapping[str, Array]
    rows: int
    skipped: int
    batches: int = 1

    def can_join(self, other: "OfferedRows") -> bool:
        """Whether both can run at once."""
        return self.served is other.served and all(
            array.shape[1:] == other.inputs[name].shape[1:] and array.dtype == other.inputs[name].dtype
            for name, array in self.inputs.items()
        )


def join(parts: Sequence[OfferedRows]) -> OfferedRows:
    """The rows of all parts, of which each can be joined with the first."""
    first = parts[0]
    if len(parts) == 1:
        return first
    inputs = {name: np.concatenate([part.inputs[name] for part in parts]) for name in first.inputs}
    rows, skipped, batches = (sum(column) for column in zip(*(part[2:] for part in parts), strict=True))
    return OfferedRows(first.served, inputs, rows, skipped, batches)
