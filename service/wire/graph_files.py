"""Serialized graphs as arrays of bytes, for messages between processes."""

from collections.abc import Mapping

import numpy as np

from models.datatypes import Array
from models.stored_graph import Content, SerializedGraph, join, split

_MODEL, _WEIGHTS = "model", "weights/"


def as_array(data: Content) -> Array:
    """Bytes as an array, without a copy."""
    return np.frombuffer(data, np.uint8)


def to_arrays(graph: SerializedGraph) -> dict[str, Array]:
    """The model and the files of its weights, by names that begin with `model` or `weights/`."""
    model, weights = split(graph)
    return {_MODEL: as_array(model), **{_WEIGHTS + name: as_array(data) for name, data in weights.items()}}


def from_arrays(arrays: Mapping[str, Array]) -> SerializedGraph:
    """The graph of `to_arrays`, among other arrays."""
    weights = {
        name.removeprefix(_WEIGHTS): data.tobytes() for name, data in arrays.items() if name.startswith(_WEIGHTS)
    }
    return join(arrays[_MODEL].tobytes(), weights)
