"""Constants that nodes of a graph compute, as exporters write them.

torch exports a convolution without bias with a bias of ``Expand(CastLike(0, x), Shape(weight))``, and a layer without
scale with ``Expand(CastLike(1, x), Shape(x)[1:2])``, unless constants are folded afterwards. With these few
operators evaluated, such graphs fold like any other.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from models.graph.nodes import Dim, attribute, integer

Value = NDArray[Any] | None
Lookup = Callable[[str], Value]
ShapeOf = Callable[[str], tuple[Dim, ...] | None]

MAX_VALUES = 1 << 20
"""Values in an expanded constant. No bias or scale has more, and a hostile graph could take any amount of memory."""


def evaluate(node: onnx.NodeProto, constant: Lookup, shape: ShapeOf) -> Value:
    """The value that the node computes, if it is the same in every run and the node is one of `EVALUATED`; else None.

    Args:
        node: any node.
        constant: the value of a tensor if it is a constant, floats as float64.
        shape: the shape of a tensor as far as it is known.

    Returns:
        The value; its type may be wider than the node's output.
    """
    rule = EVALUATED.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    return rule(node, constant, shape) if rule else None


def _constant(node: onnx.NodeProto, _constant: Lookup, _shape: ShapeOf) -> Value:
    tensor = attribute(node, "value")
    if tensor is not None:
        value: NDArray[Any] = numpy_helper.to_array(tensor)
        return value
    numbers = [attribute(node, f"value_{kind}") for kind in ("float", "floats", "int", "ints")]
    return next((np.asarray(number) for number in numbers if number is not None), None)


def _cast(node: onnx.NodeProto, constant: Lookup, _shape: ShapeOf) -> Value:
    # The editor rounds to the type of the output. Truncating floats to integers is not supported.
    value = constant(node.input[0])
    return value if value is not None and value.dtype == np.float64 else None


def _shape(node: onnx.NodeProto, _constant: Lookup, shape: ShapeOf) -> Value:
    dims = shape(node.input[0])
    if dims is None:
        return None
    part = dims[integer(node, "start", 0) : attribute(node, "end")]
    return np.array(part, np.int64) if all(isinstance(dim, int) for dim in part) else None


def _expand(node: onnx.NodeProto, constant: Lookup, _shape: ShapeOf) -> Value:
    value, target = constant(node.input[0]), constant(node.input[1])
    if value is None or target is None:
        return None
    dims = np.broadcast_shapes(value.shape, tuple(int(dim) for dim in target))
    return np.broadcast_to(value, dims) if prod(dims) <= MAX_VALUES else None


EVALUATED: dict[str, Callable[[onnx.NodeProto, Lookup, ShapeOf], Value]] = {
    "Constant": _constant,
    "Cast": _cast,
    "CastLike": _cast,
    "Shape": _shape,
    "Expand": _expand,
}
