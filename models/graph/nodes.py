"""Reading single nodes of an ONNX graph."""

from collections.abc import Iterator
from typing import Any

import onnx
from onnx import helper

FLOATS = frozenset(
    {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
)
"""Element types that hold real numbers."""

Dim = int | str | None
"""A size, the name of a free size, or unknown."""


def label(node: onnx.NodeProto) -> str:
    """The node in messages, e.g. ``Conv 'conv1'``."""
    return f"{node.op_type} '{node.name}'"


def attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """The value of an attribute, text decoded; `default` if the node does not have it."""
    for candidate in node.attribute:
        if candidate.name == name:
            value = helper.get_attribute_value(candidate)
            return value.decode() if isinstance(value, bytes) else value
    return default


def integer(node: onnx.NodeProto, name: str, default: int) -> int:
    """The value of an integer attribute."""
    return int(attribute(node, name, default))


def integers(node: onnx.NodeProto, name: str) -> list[int]:
    """The value of an attribute that is a list of integers; empty if the node does not have it."""
    return [int(item) for item in attribute(node, name, [])]


def number(node: onnx.NodeProto, name: str, default: float) -> float:
    """The value of a float attribute."""
    return float(attribute(node, name, default))


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs in the attributes of the node, e.g. the branches of an If."""
    for candidate in node.attribute:
        if candidate.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
            yield from (candidate.g, *candidate.graphs)


def nested(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """The nodes in the subgraphs of the node, however deep."""
    for graph in subgraphs(node):
        for inner in graph.node:
            yield inner
            yield from nested(inner)


def used_tensors(node: onnx.NodeProto) -> Iterator[str]:
    """Names that the node reads, with those its subgraphs take from outside (names are never shadowed in ONNX)."""
    yield from (name for name in node.input if name)
    for graph in subgraphs(node):
        yield from (value.name for value in graph.output)
        for inner in graph.node:
            yield from used_tensors(inner)


def is_standard(node: onnx.NodeProto, *op_types: str) -> bool:
    """Whether the node is one of these operators of ONNX itself, and not of a custom domain."""
    return node.domain in ("", "ai.onnx") and node.op_type in op_types


def opset(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators that the model is written in."""
    return next((int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)


def fresh_name(base: str, names: set[str]) -> str:
    """A name that is not among the names yet, to which it is added: `base`, or `base` with a number."""
    name, number = base, 1
    while name in names:
        number += 1
        name = f"{base}_{number}"
    names.add(name)
    return name
