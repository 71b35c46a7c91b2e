"""A serialized graph: a complete ONNX model, or one whose weights are in files that several graphs share."""

from collections.abc import Mapping
from mmap import mmap
from types import MappingProxyType
from typing import NamedTuple

Content = bytes | mmap
"""Of a file of weights: in memory, or mapped into it, so that the system reads and drops its pages as it needs to."""

Weights = Mapping[str, Content]
"""Files of weights by name."""

NO_WEIGHTS: Weights = MappingProxyType({})


class StoredGraph(NamedTuple):
    """An ONNX model with weights in files: ONNX external data, whose locations are names of these files.

    Attributes:
        model: the serialized model.
        weights: the content of the files by name.
    """

    model: bytes
    weights: Weights


SerializedGraph = bytes | StoredGraph
"""Without further files, or with them."""


def join(model: bytes, weights: Weights) -> SerializedGraph:
    """The graph of a serialized model and the files of its weights, if there are any."""
    return StoredGraph(model, weights) if weights else model


def split(graph: SerializedGraph) -> tuple[bytes, Weights]:
    """The serialized model of a graph, and the files of its weights."""
    return (graph, NO_WEIGHTS) if isinstance(graph, bytes) else (graph.model, graph.weights)


def size_of(graph: SerializedGraph) -> int:
    """Bytes of a graph with its weights."""
    model, weights = split(graph)
    return len(model) + sum(map(len, weights.values()))
