"""Weights in files of their own, so that several graphs have each of them once: ONNX external data, held in memory."""

import hashlib
import io
from collections.abc import Callable, Mapping
from typing import NamedTuple

import onnx
from onnx import numpy_helper

from models.errors import ExternalData
from models.graph.shapes import without_tensors
from models.stored_graph import SerializedGraph, join, split

_SMALLEST = 1 << 10
"""Bytes of a tensor that is moved to a file. Shapes, axes and the like, which inference reads, are smaller."""

_ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector of any processor."""


class _Place(NamedTuple):
    location: str
    offset: int
    length: int


class WeightFiles:
    """Files of the weights of several graphs. A weight of two graphs is in one file, once."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._places: dict[bytes, _Place] = {}

    def store(self, model: onnx.ModelProto, file: str) -> SerializedGraph:
        """The serialized model, with its weights in a new file and in those that have been made before.

        Args:
            model: not changed.
            file: name of the file for weights that are in no other one. It is made if there are any.
        """
        content = io.BytesIO()
        light = without_tensors(model)
        light.graph.node.extend(model.graph.node)
        light.graph.value_info.extend(model.graph.value_info)
        for tensor in model.graph.initializer:
            self._add(tensor, light.graph.initializer.add(), content, file)
        if content.tell():
            self._files[file] = content.getvalue()
        used = {
            entry.value
            for tensor in light.graph.initializer
            for entry in tensor.external_data
            if entry.key == "location"
        }
        serialized: bytes = light.SerializeToString(deterministic=True)
        return join(serialized, {name: self._files[name] for name in sorted(used)})

    def _add(self, tensor: onnx.TensorProto, light: onnx.TensorProto, content: io.BytesIO, file: str) -> None:
        data = tensor.raw_data
        if not data and tensor.ByteSize() >= _SMALLEST and tensor.data_type != onnx.TensorProto.STRING:
            data = numpy_helper.from_array(numpy_helper.to_array(tensor)).raw_data
        if len(data) < _SMALLEST:
            light.CopyFrom(tensor)
            return
        light.name, light.data_type = tensor.name, tensor.data_type
        light.dims.extend(tensor.dims)
        digest = hashlib.sha256(data).digest()
        if digest not in self._places:
            content.write(bytes(-content.tell() % _ALIGNMENT))
            self._places[digest] = _Place(file, content.tell(), len(data))
            content.write(data)
        light.data_location = onnx.TensorProto.EXTERNAL
        for key, value in self._places[digest]._asdict().items():
            light.external_data.add(key=key, value=str(value))


def change(graph: SerializedGraph, by: Callable[[onnx.ModelProto], onnx.ModelProto]) -> SerializedGraph:
    """A graph, changed by a function that does not need its weights.

    Args:
        graph: as `WeightFiles.store` returns it.
        by: takes the model, whose weights have a type and a shape but no values.
    """
    model, weights = split(graph)
    return join(by(onnx.ModelProto.FromString(model)).SerializeToString(deterministic=True), weights)


def take_in(tensor: onnx.TensorProto, files: Mapping[str, bytes]) -> None:
    """Store a tensor that is in a file in the model itself.

    Args:
        tensor: with external data; changed.
        files: contents by location. No other file is read.

    Raises:
        ExternalData: its file is not among them, or shorter than the tensor says.
    """
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if location not in files:
        raise ExternalData(f"tensor '{tensor.name}': its file {location!r} does not belong to the graph")
    data = files[location]
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(len(data) - offset)))
    except ValueError as error:
        raise ExternalData(f"tensor '{tensor.name}': its offset or length is no number") from error
    if min(offset, length) < 0 or offset + length > len(data):
        raise ExternalData(
            f"tensor '{tensor.name}': its file has {len(data)} bytes, expected {offset + length} or more"
        )
    tensor.raw_data = data[offset : offset + length]
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")
