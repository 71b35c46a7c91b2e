"""Graphs whose sessions share their weights in memory.

A session lays out the weights of convolutions anew for the kernels of the processor, so the sessions of two graphs with
the same weights hold two copies. That layout is part of the graph as onnxruntime rewrites it: it is written out, and
opened again as it is, on values that are in memory once.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import onnxruntime

from models.datatypes import Array
from models.stored_graph import StoredGraph

Values = Mapping[str, onnxruntime.OrtValue]
"""Weights by name."""

NO_VALUES: Values = MappingProxyType({})

_ALIGNMENT = 64
"""Bytes of the widest registers."""


class SharedGraph(NamedTuple):
    """A graph as onnxruntime has rewritten it for this processor, some weights of which are shared.

    Attributes:
        graph: with all of its weights, which are not kept.
        values: the shared weights by name.
    """

    graph: StoredGraph
    values: Values

    @classmethod
    def of(cls, graph: StoredGraph, weights: Mapping[str, Array], others: Values = NO_VALUES) -> "SharedGraph":
        """The graph with those of other values that are equal to its weights, and copies of the rest.

        Args:
            graph: from `models.runtime.rewriting`.
            weights: to be shared, by name.
            others: of another graph.
        """
        known = [(value, value.numpy()) for value in others.values()]
        return cls(graph, {name: _find(array, known) or _copy(array) for name, array in weights.items()})


def _find(array: Array, known: list[tuple[onnxruntime.OrtValue, Array]]) -> onnxruntime.OrtValue | None:
    for value, other in known:
        if other.dtype == array.dtype and np.array_equal(other, array):
            return value
    return None


def _copy(array: Array) -> onnxruntime.OrtValue:
    """A value in aligned memory, which the value keeps."""
    memory = np.empty(array.nbytes + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return onnxruntime.OrtValue.ortvalue_from_numpy(copy)
