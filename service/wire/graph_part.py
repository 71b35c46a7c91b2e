"""The part of a serialized ONNX graph that some of its outputs need, by protobuf's wire format alone.

onnxruntime computes every output of a graph, asked for or not, and the service has no onnx, which would rewrite the
graph. The field numbers are those of onnx.proto: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from collections.abc import Collection, Iterator

from models.stored_graph import SerializedGraph, join, split
from service.wire.protobuf import BYTES, VARINT, Field, encode_bytes, encode_number, fields, text

_MODEL_GRAPH = 7
_NODE, _INITIALIZER, _OUTPUT, _VALUE_INFO = 1, 5, 12, 13
_NODE_INPUT, _NODE_OUTPUT, _NODE_ATTRIBUTE = 1, 2, 5
_ATTRIBUTE_GRAPHS = {6, 11}
_VALUE_NAME, _TENSOR_NAME = 1, 8
_NAME = {_INITIALIZER: _TENSOR_NAME, _VALUE_INFO: _VALUE_NAME}
_MAX_FIELDS = 1 << 24
_PLACE = "graph"


def keep_outputs(graph: SerializedGraph, outputs: Collection[str]) -> SerializedGraph:
    """The graph with these outputs only, and what they are computed from. All inputs stay.

    Args:
        graph: its weights may be in files, which stay as they are.
        outputs: names of outputs of the graph; others are ignored.

    Raises:
        InvalidInput: it is no ONNX model.
    """
    model, weights = split(graph)
    parts = []
    for field in _fields(memoryview(model)):
        is_graph = field.number == _MODEL_GRAPH
        parts.append(encode_bytes(_MODEL_GRAPH, _keep(field.raw, outputs)) if is_graph else _encode(field))
    return join(b"".join(parts), weights)


def _keep(graph: memoryview, outputs: Collection[str]) -> bytes:
    """A `GraphProto` with these outputs only."""
    members = _fields(graph)
    needed = {name for field in members if field.number == _OUTPUT and (name := _name(field, _VALUE_NAME)) in outputs}
    kept: set[int] = set()  # places of nodes; in a graph, a node comes after those that it reads
    for at, field in reversed(list(enumerate(members))):
        if field.number == _NODE and not needed.isdisjoint(_strings(field, _NODE_OUTPUT)):
            kept.add(at)
            needed.update(_reads(field))

    def stays(at: int, field: Field) -> bool:
        if field.number == _NODE:
            return at in kept
        if field.number == _OUTPUT:
            return _name(field, _VALUE_NAME) in outputs
        if field.number in _NAME:
            return _name(field, _NAME[field.number]) in needed
        return True

    return b"".join(_encode(field) for at, field in enumerate(members) if stays(at, field))


def _reads(node: Field) -> Iterator[str]:
    """Names of the tensors that a node reads, also inside of its graphs, whose own tensors are among them."""
    yield from _strings(node, _NODE_INPUT)
    for attribute in _fields(node.raw):
        if attribute.number != _NODE_ATTRIBUTE:
            continue
        for graph in _fields(attribute.raw):
            if graph.number in _ATTRIBUTE_GRAPHS and graph.kind == BYTES:
                for member in _fields(graph.raw):
                    if member.number == _NODE:
                        yield from _reads(member)
                    elif member.number == _OUTPUT:
                        yield _name(member, _VALUE_NAME)


def _strings(message: Field, number: int) -> list[str]:
    return [text(field, _PLACE) for field in _fields(message.raw) if field.number == number]


def _name(message: Field, number: int) -> str:
    return next(iter(_strings(message, number)), "")


def _fields(message: memoryview) -> list[Field]:
    return fields(message, _PLACE, _MAX_FIELDS)


def _encode(field: Field) -> bytes:
    if field.kind == VARINT:
        return encode_number(field.number, field.value)
    if field.kind == BYTES:
        return encode_bytes(field.number, bytes(field.raw))
    raise AssertionError("neither a model nor a graph has fields of a fixed size")
