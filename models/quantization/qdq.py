"""The QDQ graph: the folded graph with tensors and weights rounded to 8 bits, which onnxruntime runs with integers.

    q = clip(round(x / scale) + zero_point, 0, 255),  x ~ scale (q - zero_point)        an activation, one scale
    q = round(w / scale_o), |q| <= 64,                w ~ scale_o q                     weights, a scale per output
    q = round(b / (scale scale_o))                    int32, as the sums are            bias

(Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference".)

Weights have 7 of the 8 bits, since CPUs without VNNI add two products of uint8 and int8 in 16 bits, with saturation:
2 * 255 * 64 < 2^15. With all 8 bits, such a CPU computes something else than others do.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from models.batchnorm import Float64
from models.errors import GraphError
from models.graph.editor import GraphEditor
from models.graph.nodes import opset
from models.quantization.linear import LinearNode
from models.quantization.plan import Plan
from models.quantization.tensor_statistics import Statistics

LARGEST_WEIGHT = 64
_LEVELS = 255
_LARGEST_BIAS = 2.0**30

MIN_OPSET = 13
"""The first with a scale for each channel."""


@dataclass(frozen=True)
class Quantized:
    """A QDQ graph.

    Attributes:
        model: the graph.
        ranges: by quantised tensor: the values that are represented.
        layers: how many nodes with weights compute in 8 bits.
        left: the nodes with weights that do not, by label, and why.
    """

    model: onnx.ModelProto
    ranges: Mapping[str, tuple[float, float]]
    layers: int
    left: Mapping[str, str]


@dataclass(frozen=True)
class _Grid:
    """The representable values of an activation: ``scale * (q - zero_point)`` for q from 0 to 255."""

    scale: float
    zero_point: int

    @classmethod
    def of_range(cls, low: float, high: float) -> "_Grid":
        low, high = min(low, 0.0), max(high, 0.0)  # zero has to be exact: paddings are zeros
        scale = float(np.float32((high - low) / _LEVELS)) if high > low else 1.0
        return cls(scale, round(min(max(-low / scale, 0.0), _LEVELS)))

    @property
    def range(self) -> tuple[float, float]:
        return -self.zero_point * self.scale, (_LEVELS - self.zero_point) * self.scale


def quantize_graph(folded: onnx.ModelProto, statistics: Statistics) -> Quantized:
    """Insert the pairs of QuantizeLinear and DequantizeLinear; `folded` is not changed.

    The mean error that rounding the weights makes in a layer's outputs is taken from its bias (Nagel et al. 2019,
    section 4.2): (W_q - W) E[x].

    Args:
        folded: as `models.graph.fold.fold` or `models.quantization.equalize.equalize` returns it.
        statistics: of its tensors.

    Raises:
        GraphError: nothing can be quantised, or the graph is of an opset without scales for each channel.
    """
    if opset(folded) < MIN_OPSET:
        raise GraphError(f"the graph is of opset {opset(folded)}; 8 bits need {MIN_OPSET}: export it again")
    editor = GraphEditor(folded)
    plan = Plan.of(editor, statistics)
    if not plan.linear:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in plan.left.items())
        raise GraphError(f"no layer of the graph can compute in 8 bits: {reasons or 'it has no weights'}")
    grids = {tensor: _Grid.of_range(*statistics[root].range) for tensor, root in plan.scales.items()}
    for linear in plan.linear:
        _round_weights(editor, linear, grids[linear.node.input[0]].scale, statistics)
    for tensor, grid in grids.items():
        _insert_pair(editor, tensor, grid)
    ranges = {tensor: grid.range for tensor, grid in grids.items()}
    return Quantized(editor.finish(), ranges, len(plan.linear), plan.left)


def _round_weights(editor: GraphEditor, linear: LinearNode, input_scale: float, statistics: Statistics) -> None:
    """Have a node read its weights and bias from integers."""
    node = linear.node
    largest = np.abs(linear.rows(linear.weight)).max(axis=(1, 2))
    # A bias has to fit into 32 bits.
    scale = np.maximum(largest / LARGEST_WEIGHT, np.abs(linear.bias) / (input_scale * _LARGEST_BIAS))
    scale = np.where(scale > 0, scale, 1.0).astype(np.float32).astype(np.float64)
    integers = np.clip(np.rint(linear.weight / linear.per_output(scale)), -LARGEST_WEIGHT, LARGEST_WEIGHT)
    nodes = [_dequantize(editor, node, 1, integers, scale, TensorProto.INT8, linear.axis)]
    if linear.takes_bias:
        error = integers * linear.per_output(scale) - linear.weight
        shift = linear.expected_output(statistics[node.input[0]].mean, error)
        bias = linear.bias if shift is None else linear.bias - shift
        bias_scale = (scale * input_scale).astype(np.float32).astype(np.float64)
        nodes.append(_dequantize(editor, node, 2, np.rint(bias / bias_scale), bias_scale, TensorProto.INT32, 0))
    editor.replace(node, [*nodes, node])


def _dequantize(
    editor: GraphEditor,
    node: onnx.NodeProto,
    slot: int,
    integers: Float64,
    scale: Float64,
    element_type: int,
    axis: int,
) -> onnx.NodeProto:
    """The node that makes floats of integers, for one input of another."""
    name = f"{node.name}.{'weight' if slot == 1 else 'bias'}"
    inputs = [
        editor.add_constant(f"{name}.integers", integers, element_type),
        editor.add_constant(f"{name}.scale", scale, TensorProto.FLOAT),
        editor.add_constant(f"{name}.zero_point", np.zeros_like(scale), element_type),
    ]
    output = editor.fresh(f"{name}.dequantized")
    editor.set_input(node, slot, output)
    return helper.make_node("DequantizeLinear", inputs, [output], editor.fresh(f"{name}.dequantize"), axis=axis)


def _insert_pair(editor: GraphEditor, tensor: str, grid: _Grid) -> None:
    """Round a tensor for all nodes that read it."""
    scale = editor.add_constant(f"{tensor}.scale", np.array(grid.scale), TensorProto.FLOAT)
    zero_point = editor.add_constant(f"{tensor}.zero_point", np.array(float(grid.zero_point)), TensorProto.UINT8)
    integers, rounded = editor.fresh(f"{tensor}.quantized"), editor.fresh(f"{tensor}.dequantized")
    editor.declare(rounded, like=tensor)
    editor.redirect(tensor, rounded)
    pair = [
        helper.make_node("QuantizeLinear", [tensor, scale, zero_point], [integers], editor.fresh(f"{tensor}.quantize")),
        helper.make_node(
            "DequantizeLinear", [integers, scale, zero_point], [rounded], editor.fresh(f"{tensor}.dequantize")
        ),
    ]
    producer = editor.producer(tensor)
    if producer is None:
        first = editor.nodes[0]
        editor.replace(first, [*pair, first])
    else:
        editor.replace(producer, [producer, *pair])
