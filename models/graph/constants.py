"""Constants that nodes of a graph compute, as exporters write them.

torch exports a convolution without bias with a bias of ``Expand(CastLike(0, x), Shape(weight))``, and a layer without
scale with ``Expand(CastLike(1, x), Shape(x)[1:2])``, unless constants are folded afterwards. With these few
operators evaluated, such graphs fold like any other.

Weights that are computed from constants alone (transposed, or normalised as by weight norm and spectral norm) are
evaluated by the reference implementation of ONNX.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from models.graph.nodes import Dim, attribute, integer

Value = NDArray[Any] | None
Lookup = Callable[[str], Value]
ShapeOf = Callable[[str], tuple[Dim, ...] | None]
Producer = Callable[[str], onnx.NodeProto | None]

MAX_VALUES = 1 << 20
"""Values in an expanded constant. No bias or scale has more, and a hostile graph could take any amount of memory."""


def evaluate(node: onnx.NodeProto, constant: Lookup, shape: ShapeOf, producer: Producer, opset: int) -> Value:
    """The value that the node computes, if it is the same in every run and the node is one of those below; else None.

    Args:
        node: any node.
        constant: the value of a tensor if it is a constant, floats as float64.
        shape: the shape of a tensor as far as it is known.
        producer: the node that computes a tensor.
        opset: the version of ONNX's operators in the graph.

    Returns:
        The value; its type may be wider than the node's output.
    """
    if node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type == "Gather" and (sizes := producer(node.input[0])) is not None and sizes.op_type == "Shape":
        return _gather_sizes(node, sizes, constant, shape)
    if node.op_type in COMPUTED:
        return _compute(node, constant, opset, shape)
    rule = EVALUATED.get(node.op_type)
    return rule(node, constant, shape) if rule else None


def _constant(node: onnx.NodeProto, _constant: Lookup, _shape: ShapeOf) -> Value:
    tensor = attribute(node, "value")
    if tensor is not None:
        value: NDArray[Any] = numpy_helper.to_array(tensor)
        return value
    numbers = [attribute(node, f"value_{kind}") for kind in ("float", "floats", "int", "ints")]
    return next((np.asarray(number) for number in numbers if number is not None), None)


def _cast(node: onnx.NodeProto, constant: Lookup, _shape: ShapeOf) -> Value:
    # The editor rounds to the type of the output.
    value = constant(node.input[0])
    return value if value is not None and (value.dtype == np.float64 or value.dtype.kind == "i") else None


def _shape(node: onnx.NodeProto, _constant: Lookup, shape: ShapeOf) -> Value:
    dims = shape(node.input[0])
    if dims is None:
        return None
    part = dims[integer(node, "start", 0) : attribute(node, "end")]
    return np.array(part, np.int64) if all(isinstance(dim, int) for dim in part) else None


def _gather_sizes(node: onnx.NodeProto, sizes: onnx.NodeProto, constant: Lookup, shape: ShapeOf) -> Value:
    """Sizes that are known of a tensor, others of which may be free: the number of channels, of any number of rows."""
    dims, indices = shape(sizes.input[0]), constant(node.input[1])
    if dims is None or indices is None:
        return None
    part = dims[integer(sizes, "start", 0) : attribute(sizes, "end")]
    if any(not -len(part) <= index < len(part) for index in indices.reshape(-1)):
        return None
    chosen = [part[int(index)] for index in indices.reshape(-1)]
    return np.array(chosen, np.int64).reshape(indices.shape) if all(isinstance(dim, int) for dim in chosen) else None


def _expand(node: onnx.NodeProto, constant: Lookup, _shape: ShapeOf) -> Value:
    value, target = constant(node.input[0]), constant(node.input[1])
    if value is None or target is None:
        return None
    dims = np.broadcast_shapes(value.shape, tuple(int(dim) for dim in target))
    return np.broadcast_to(value, dims) if prod(dims) <= MAX_VALUES else None


def _compute(node: onnx.NodeProto, constant: Lookup, opset: int, shape: ShapeOf) -> Value:
    dims = shape(node.output[0])
    if dims is None or not all(isinstance(dim, int) for dim in dims):
        return None
    given = {name: constant(name) for name in dict.fromkeys(node.input) if name}
    values = {name: value for name, value in given.items() if value is not None}
    size = prod(dim for dim in dims if isinstance(dim, int))
    if len(values) < len(given) or size > max(MAX_VALUES, sum(value.size for value in values.values())):
        return None
    from onnx.reference import ReferenceEvaluator  # noqa: PLC0415 - few graphs need it, and it takes long to import

    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in values.items()
    ]
    outputs = [helper.make_tensor_value_info(node.output[0], onnx.TensorProto.UNDEFINED, None)]
    graph = helper.make_graph([node], "constant", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    value: NDArray[Any] = np.asarray(ReferenceEvaluator(model).run(None, values)[0])
    return value


COMPUTED = frozenset(
    {
        "Abs",
        "Add",
        "Concat",
        "ConstantOfShape",
        "Div",
        "Exp",
        "Flatten",
        "Gather",
        "MatMul",
        "Mod",
        "Mul",
        "Neg",
        "Pow",
        "Reciprocal",
        "ReduceL2",
        "ReduceMean",
        "ReduceSum",
        "Reshape",
        "Slice",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Transpose",
        "Unsqueeze",
    }
)
"""Operators that are evaluated if all of their inputs are constants."""

EVALUATED: dict[str, Callable[[onnx.NodeProto, Lookup, ShapeOf], Value]] = {
    "Constant": _constant,
    "Cast": _cast,
    "CastLike": _cast,
    "Shape": _shape,
    "Expand": _expand,
}
