"""Types and shapes of the tensors of a graph, as far as ONNX infers them, without a copy of its weights."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

from models.errors import GraphError
from models.graph.nodes import Dim

_SMALL = 64
"""Values of a tensor that may be a shape, axes or the like."""


@dataclass(frozen=True)
class InferredTensor:
    """A tensor of the main graph.

    Attributes:
        element_type: an `onnx.TensorProto.DataType`; 0 (UNDEFINED) where it is not known.
        shape: None where not even the rank is known.
    """

    name: str
    element_type: int
    shape: tuple[Dim, ...] | None


def infer(
    model: onnx.ModelProto,
    nodes: Iterable[onnx.NodeProto] | None = None,
    constants: Iterable[tuple[str, int, NDArray[Any]]] = (),
) -> Iterator[InferredTensor]:
    """The tensors whose type is known, those that are stored with the rest.

    Args:
        model: not changed.
        nodes: in place of those of the model.
        constants: name, `onnx.TensorProto.DataType` and value of initializers that the model does not have yet.

    Raises:
        GraphError: the shapes contradict each other.
    """
    try:
        light = without_values(model)
        if nodes is not None:
            del light.graph.node[:]
            light.graph.node.extend(nodes)
        for name, element_type, value in constants:
            if value.size <= _SMALL:
                dtype = helper.tensor_dtype_to_np_dtype(element_type)
                light.graph.initializer.append(numpy_helper.from_array(value.astype(dtype), name))
            else:
                light.graph.input.append(helper.make_tensor_value_info(name, element_type, value.shape))
        graph = shape_inference.infer_shapes(light, data_prop=True).graph
    except shape_inference.InferenceError as error:
        raise GraphError(f"the shapes of the graph cannot be inferred: {error}") from error
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        shape = tuple(map(_dim, tensor.shape.dim)) if tensor.HasField("shape") else None
        yield InferredTensor(value.name, tensor.elem_type, shape)
    for tensor in model.graph.initializer:
        yield InferredTensor(tensor.name, tensor.data_type, tuple(tensor.dims))


def without_tensors(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without nodes, initializers and value infos, and without a copy of them on the way."""
    bare = onnx.ModelProto()
    for field, value in model.ListFields():
        if field.name != "graph":
            _assign(bare, field.name, value)
    for field, value in model.graph.ListFields():
        if field.name not in ("node", "initializer", "value_info"):
            _assign(bare.graph, field.name, value)
    return bare


def _assign(message: onnx.ModelProto | onnx.GraphProto, field: str, value: Any) -> None:
    if isinstance(value, str | int):
        setattr(message, field, value)
    else:
        getattr(message, field).MergeFrom(value)


def without_values(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its weights as inputs of their types: shapes follow from the values of small tensors only."""
    light = without_tensors(model)
    graph = light.graph
    graph.node.extend(model.graph.node)
    graph.value_info.extend(model.graph.value_info)
    inputs = {value.name for value in graph.input}
    for tensor in model.graph.initializer:
        if prod(tensor.dims) <= _SMALL and not tensor.external_data:
            graph.initializer.add().CopyFrom(tensor)
        elif tensor.name not in inputs:
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return light


def _dim(dim: onnx.TensorShapeProto.Dimension) -> Dim:
    return dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None
