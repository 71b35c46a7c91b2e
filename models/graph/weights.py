"""Weights in files of their own, so that several graphs have each of them once: ONNX external data.

Large files are temporary files on disk, mapped into memory: what no step reads takes no memory.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from mmap import ACCESS_READ, mmap
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from models.errors import ExternalData
from models.graph.shapes import without_tensors
from models.memory import release_pages
from models.stored_graph import NO_WEIGHTS, Content, SerializedGraph, Weights, join, split

_SMALLEST = 1 << 10
"""Bytes of a tensor that is moved to a file. Shapes, axes and the like, which inference reads, are smaller."""

_ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector of any processor."""

_IN_MEMORY = 8 << 20
"""Bytes of a file that is not worth a place on disk."""

_BLOCK = 1 << 20


class _Place(NamedTuple):
    location: str
    offset: int
    length: int


class WeightFiles:
    """Files of the weights of several graphs. A weight of two graphs is stored once, unless these are apart."""

    def __init__(self) -> None:
        self._files: dict[str, Content] = {}
        self._places: dict[bytes, _Place] = {}

    def store(
        self, model: onnx.ModelProto, file: str, weights: Weights = NO_WEIGHTS, apart_from: str = ""
    ) -> SerializedGraph:
        """The serialized model, with its weights in a new file and in those that have been made before.

        Args:
            model: not changed.
            file: name of the file for weights that are in no other one. It is made if there are any.
            weights: files that tensors of the model are in, besides those that have been made before.
            apart_from: name of a file without which the graph is to be read: the new file has copies of its weights.

        Raises:
            ExternalData: a tensor is in none of these files.
            OSError: the file is large, and there is no place for it in the folder of temporary files.
        """
        light = without_tensors(model)
        light.graph.node.extend(model.graph.node)
        light.graph.value_info.extend(model.graph.value_info)
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as content:
            for tensor in model.graph.initializer:
                self._add(tensor, light.graph.initializer.add(), content, file, weights, apart_from)
            if content.tell():
                self._files[file] = _content(content)
        release_pages(weights)
        release_pages(self._files)
        used = {location(tensor) for tensor in light.graph.initializer if tensor.external_data}
        serialized: bytes = light.SerializeToString(deterministic=True)
        return join(serialized, {name: self._files[name] for name in sorted(used)})

    def _add(
        self,
        tensor: onnx.TensorProto,
        light: onnx.TensorProto,
        content: tempfile.SpooledTemporaryFile[bytes],
        file: str,
        weights: Weights,
        apart_from: str,
    ) -> None:
        if tensor.external_data and location(tensor) not in weights:
            weights = self._files
            if location(tensor) != apart_from:
                find_content(tensor, weights)
                light.CopyFrom(tensor)
                return
        data: bytes | memoryview = find_content(tensor, weights) if tensor.external_data else tensor.raw_data
        if not data and tensor.ByteSize() >= _SMALLEST and tensor.data_type != onnx.TensorProto.STRING:
            data = numpy_helper.from_array(numpy_helper.to_array(tensor)).raw_data
        if len(data) < _SMALLEST:
            light.CopyFrom(tensor)
            if tensor.external_data:
                take_in(light, weights)
            return
        light.name, light.data_type = tensor.name, tensor.data_type
        light.dims.extend(tensor.dims)
        digest = hashlib.sha256(data).digest()
        if digest not in self._places or self._places[digest].location == apart_from:
            content.write(bytes(-content.tell() % _ALIGNMENT))
            self._places[digest] = _Place(file, content.tell(), len(data))
            content.write(data)
        light.data_location = onnx.TensorProto.EXTERNAL
        for key, value in self._places[digest]._asdict().items():
            light.external_data.add(key=key, value=str(value))


def share_in(file: str, model: onnx.ModelProto) -> float:
    """The share of a model's weights that is in a file, by bytes.

    Args:
        file: its name.
        model: with weights in it, in other files and in the model itself.
    """
    in_file = in_all = 0
    for tensor in model.graph.initializer:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        size = int(entries["length"]) if entries else tensor.ByteSize()
        in_all += size
        in_file += size if entries.get("location") == file else 0
    return in_file / max(in_all, 1)


def copy_content(file: BinaryIO) -> Content:
    """A copy of the rest of a file, which may change afterwards.

    Raises:
        OSError: the file cannot be read, or is large and there is no place for it in the folder of temporary files.
    """
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as copy:
        shutil.copyfileobj(file, copy, _BLOCK)
        return _content(copy)


def _content(file: tempfile.SpooledTemporaryFile[bytes]) -> Content:
    """All of a temporary file; its place on disk is free again when the content is no longer used."""
    if file.tell() > _IN_MEMORY:
        file.flush()
        return mmap(file.fileno(), 0, access=ACCESS_READ)
    file.seek(0)
    return file.read()


def change(graph: SerializedGraph, by: Callable[[onnx.ModelProto], onnx.ModelProto]) -> SerializedGraph:
    """A graph, changed by a function that does not need its weights.

    Args:
        graph: as `WeightFiles.store` returns it.
        by: takes the model, whose weights have a type and a shape but no values.
    """
    model, weights = split_model(graph)
    return join(by(model).SerializeToString(deterministic=True), weights)


def split_model(graph: SerializedGraph) -> tuple[onnx.ModelProto, Weights]:
    """The model of a graph, and the files that its weights stay in."""
    model, weights = split(graph)
    return onnx.ModelProto.FromString(model), weights


def location(tensor: onnx.TensorProto) -> str:
    """The name of the file that a tensor with external data is in."""
    return next((str(entry.value) for entry in tensor.external_data if entry.key == "location"), "")


def find_content(tensor: onnx.TensorProto, files: Weights) -> memoryview:
    """The bytes of a tensor with external data.

    Args:
        tensor: with external data.
        files: contents by location. No other file is read.

    Raises:
        ExternalData: its file is not among them, or shorter than the tensor says.
    """
    entries = {entry.key: entry.value for entry in tensor.external_data}
    name = location(tensor)
    if name not in files:
        raise ExternalData(f"tensor '{tensor.name}': its file {name!r} does not belong to the graph")
    data = files[name]
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(len(data) - offset)))
    except ValueError as error:
        raise ExternalData(f"tensor '{tensor.name}': its offset or length is no number") from error
    if min(offset, length) < 0 or offset + length > len(data):
        raise ExternalData(
            f"tensor '{tensor.name}': its file has {len(data)} bytes, expected {offset + length} or more"
        )
    return memoryview(data)[offset : offset + length]


def take_in(tensor: onnx.TensorProto, files: Weights) -> None:
    """Store a tensor that is in a file in the model itself.

    Args:
        tensor: with external data; changed.
        files: contents by location. No other file is read.

    Raises:
        ExternalData: as `find_content`.
    """
    tensor.raw_data = bytes(find_content(tensor, files))
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")


def to_array(tensor: onnx.TensorProto, files: Weights) -> NDArray[Any]:
    """The values of a tensor, wherever they are.

    Raises:
        ExternalData: as `find_content`.
    """
    if tensor.external_data:
        inside = onnx.TensorProto()
        inside.CopyFrom(tensor)
        take_in(inside, files)
        tensor = inside
    value: NDArray[Any] = np.asarray(numpy_helper.to_array(tensor))
    return value
