"""Bytes <-> ONNX models. Only the given bytes are read, never another file."""

from collections.abc import Iterator
from itertools import islice

import onnx
from google.protobuf.message import DecodeError

from models.errors import ExternalData, GraphError
from models.graph.half import widen
from models.graph.shapes import without_values
from models.graph.weights import location, take_in, to_array
from models.stored_graph import NO_WEIGHTS, SerializedGraph, Weights, split


def parse(data: SerializedGraph) -> onnx.ModelProto:
    """Read a model, with its weights, and check it against the ONNX specification.

    Functions and custom domains are not checked. Weights in half precision (`models.graph.half`) become float32.

    Raises:
        ExternalData: a tensor, however deeply nested, is stored in a file that does not belong to the graph.
        GraphError: the bytes are not an ONNX model, or a malformed one.
    """
    serialized, weights = split(data)
    model = decode(serialized)
    if weights:
        for tensor in external_tensors(model):
            take_in(tensor, weights)
    validate(model)
    widen(model)
    return model


def decode(data: bytes) -> onnx.ModelProto:
    """Read a model that is still to be validated.

    Raises:
        GraphError: the bytes are not an ONNX model.
    """
    try:
        return onnx.ModelProto.FromString(data)
    except DecodeError as error:
        raise GraphError(f"not an ONNX file: {error}") from error


def validate(model: onnx.ModelProto, weights: Weights = NO_WEIGHTS) -> None:
    """Check a model against the ONNX specification. Functions and custom domains are not checked.

    Args:
        model: the model.
        weights: files that initializers of its main graph may be in.

    Raises:
        ExternalData: a tensor, however deeply nested, is stored in another file.
        GraphError: the model is malformed.
    """
    # Before the checker, which would look for the files.
    for tensor in external_tensors(model):
        if location(tensor) not in weights:
            raise ExternalData(
                f"tensor '{tensor.name}' is stored in another file, which is never opened: "
                "save the model again with all of its weights inside (onnx.save without save_as_external_data)"
            )
    try:
        # The checker copies what it is given: the weights one by one.
        onnx.checker.check_model(without_values(model))
        for tensor in model.graph.initializer:
            if tensor.external_data:
                to_array(tensor, weights)  # as long as its shape says
            else:
                onnx.checker.check_tensor(tensor)
    except (onnx.checker.ValidationError, ValueError) as error:
        for value in model.graph.input:  # the checker does not name it
            if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape"):
                advice = "state one, with names for sizes that are free, and export again"
                raise GraphError(f"not a valid ONNX model: input '{value.name}' has no shape: {advice}") from error
        raise GraphError(f"not a valid ONNX model: {error}") from error


def external_tensors(model: onnx.ModelProto, *, nested: bool = False) -> Iterator[onnx.TensorProto]:
    """The tensors, however deeply nested, that are stored in other files.

    Args:
        model: the model.
        nested: leave out the initializers of its main graph.
    """
    for tensor in islice(_tensors(model), len(model.graph.initializer) if nested else 0, None):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            yield tensor


def serialize(model: onnx.ModelProto) -> bytes:
    """The model as bytes. Equal models give equal bytes, and so equal digests."""
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from _graph_tensors(model.graph)
    for training in model.training_info:
        yield from _graph_tensors(training.initialization)
        yield from _graph_tensors(training.algorithm)
    for function in model.functions:
        yield from _node_tensors(function.node)
        yield from _attribute_tensors(function.attribute_proto)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: list[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        yield from _attribute_tensors(node.attribute)


def _attribute_tensors(attributes: list[onnx.AttributeProto]) -> Iterator[onnx.TensorProto]:
    for attribute in attributes:
        yield from (attribute.t, *attribute.tensors)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
        for graph in (attribute.g, *attribute.graphs):
            yield from _graph_tensors(graph)
