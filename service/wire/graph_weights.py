"""The weights of convolutions in a graph that onnxruntime has rewritten, by protobuf's wire format alone.

The service has no onnx, which would read the graph. The field numbers are those of onnx.proto:
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from collections.abc import Iterator

import numpy as np

from models.datatypes import Array
from models.errors import GraphError
from models.stored_graph import StoredGraph
from service.wire.protobuf import BYTES, Field, fields, number, repeated_signed, text

_MODEL_GRAPH = 7
_NODE, _INITIALIZER = 1, 5
_NODE_INPUT, _NODE_TYPE, _NODE_DOMAIN = 1, 4, 7
_DIMS, _DATA_TYPE, _NAME, _EXTERNAL_DATA = 1, 2, 8, 13
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_FLOAT = 1
_BLOCKED = "com.microsoft.nchwc"
"""Domain of convolutions whose weights are laid out for the processor."""
_MAX_FIELDS = 1 << 24
_MAX_AXES = 64
_PLACE = "graph"


def has_convolutions(model: bytes) -> bool:
    """Whether an ONNX model has convolutions.

    Raises:
        InvalidInput: it is no ONNX model.
    """
    return any(_strings(node, _NODE_TYPE) == ["Conv"] for node in _members(model, _NODE))


def read_convolutions(graph: StoredGraph) -> dict[str, Array]:
    """Views of the weights of convolutions that are laid out for the processor and in a file, by name.

    Raises:
        InvalidInput: it is no ONNX model.
        GraphError: a file does not hold a weight.
    """
    names = {
        inputs[1]
        for node in _members(graph.model, _NODE)
        if _strings(node, _NODE_TYPE) == ["Conv"] and _strings(node, _NODE_DOMAIN) == [_BLOCKED]
        if len(inputs := _strings(node, _NODE_INPUT)) > 1
    }
    found: dict[str, Array] = {}
    for tensor in _members(graph.model, _INITIALIZER):
        (name,) = _strings(tensor, _NAME)
        place = dict(_entry(field) for field in tensor if field.number == _EXTERNAL_DATA)
        if name in names and place and _number(tensor, _DATA_TYPE) == _FLOAT:
            shape = repeated_signed((field for field in tensor if field.number == _DIMS), _PLACE, _MAX_AXES)
            try:
                content, offset = graph.weights[place["location"]], int(place.get("offset", "0"))
                found[name] = np.frombuffer(content, "<f4", int(np.prod(shape)), offset).reshape(shape)
            except (KeyError, ValueError) as error:
                raise GraphError(f"weight '{name}' is not in its file") from error
    return found


def _members(model: bytes, kind: int) -> Iterator[list[Field]]:
    """The fields of each node or initializer."""
    for field in _fields(memoryview(model)):
        if field.number == _MODEL_GRAPH:
            for member in _fields(field.raw):
                if member.number == kind:
                    yield _fields(member.raw)


def _fields(message: memoryview) -> list[Field]:
    return fields(message, _PLACE, _MAX_FIELDS)


def _strings(message: list[Field], number: int) -> list[str]:
    return [text(field, _PLACE) for field in message if field.number == number and field.kind == BYTES]


def _number(message: list[Field], which: int) -> int:
    return next((number(field, _PLACE) for field in message if field.number == which), 0)


def _entry(field: Field) -> tuple[str, str]:
    members = {member.number: text(member, _PLACE) for member in fields(field.raw, _PLACE)}
    return members.get(_ENTRY_KEY, ""), members.get(_ENTRY_VALUE, "")
