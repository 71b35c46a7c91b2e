"""Makes every normalisation layer use the statistics of its batch, mixed with the stored ones, in plain ONNX.

AdaBN (Li et al. 2016) with a prior (Schneider et al. 2020): a layer that meets a batch of n rows normalises by

    mean' = w mean + (1 - w) batch_mean           w = N / (N + n)
    var'  = w var  + (1 - w) batch_var            but at least max(var / 100, eps)

where N is the number of rows that the stored statistics count as. The variance of the batch is the biased one, and the
distance between the two means adds nothing to the mixture's, as in Schneider et al. Every layer reads what the layers
before it compute from the same batch with their own new statistics, so one forward pass is exact for all layers: what
AdaBN computes layer after layer.

A run holds all rows of the batch in memory, and of each about ten times its largest activation: for 16 channels of
28 x 28, 0.5 MB a row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from models.batchnorm import Float64
from models.errors import GraphError
from models.graph.editor import GraphEditor
from models.graph.find import FoundLayer, find
from models.graph.nodes import opset

VARIANCE_FLOOR = 1e-2
"""Of the stored variance. Without it, a channel that is dead in the batch multiplies later activations by up to 300."""

_AXES_BECAME_AN_INPUT = 18  # of ReduceMean


@dataclass(frozen=True)
class ChannelStatistics:
    """Mean and variance of a layer's input per channel, shape (C,), float64."""

    mean: Float64
    var: Float64


@dataclass(frozen=True)
class Outputs:
    """Names of a layer's outputs: the statistics of its batch, and those that it normalises by.

    Attributes:
        batch_mean, batch_var: of the layer's input over the batch.
        mean, var: the new statistics.
    """

    batch_mean: str
    batch_var: str
    mean: str
    var: str


@dataclass(frozen=True)
class Adaptive:
    """A graph whose layers normalise by the statistics of the batch, mixed with the stored ones.

    Attributes:
        model: has the inputs and outputs of the source graph, the input `prior_weight`, and each layer's outputs.
        prior_weight: name of the input, a float32 of shape (), for N / (N + n): 1 gives the source network itself (but
            for variances below eps), 0 ignores the stored statistics.
        layers: the outputs of each layer, of shape (C,) each, float32, or float64 where the layer computes in float64.
    """

    model: onnx.ModelProto
    prior_weight: str
    layers: dict[str, Outputs]


def adapt(source: onnx.ModelProto) -> Adaptive:
    """Make a source graph adaptive; `source` is not changed.

    A layer that runs twice adapts at each of its two places by itself.

    Raises:
        TrainingModeGraph, MissingStatistics, GraphError: as `models.graph.find.find`; GraphError also when the graph
            has no layer, or shapes cannot be inferred.
    """
    layers = _layers(source)
    editor = GraphEditor(source)
    prior_weight = editor.fresh("prior_weight")
    reduction = _Reduction(editor, opset(source), prior_weight)
    outputs = {layer.name: reduction.add(layer) for layer in layers}
    model = editor.finish()
    model.graph.input.append(helper.make_tensor_value_info(prior_weight, TensorProto.FLOAT, []))
    for layer in layers:
        kind = reduction.types[layer.name]
        model.graph.output.extend(
            helper.make_tensor_value_info(name, kind, [len(layer.mean)]) for name in astuple(outputs[layer.name])
        )
    return Adaptive(model, prior_weight, outputs)


def restate(source: onnx.ModelProto, statistics: Mapping[str, ChannelStatistics]) -> onnx.ModelProto:
    """The graph with other statistics in its layers, rounded to their type in the graph.

    Args:
        source: it is not changed.
        statistics: for every layer, by its name.

    Raises:
        GraphError: a number is not finite in the graph's type, a variance is negative, or as `adapt`.
    """
    layers = _layers(source)
    editor = GraphEditor(source)
    for layer in layers:
        node = _node(editor, layer)
        new = statistics[layer.name]
        for slot, name, value in ((3, "running_mean", new.mean), (4, "running_var", new.var)):
            element_type = editor.element_type(node.input[slot])
            if not np.isfinite(value).all() or editor.overflows(value, element_type):
                raise GraphError(f"layer '{layer.name}': {name} has a value that is not finite in the graph's type")
            editor.set_constant(node, slot, value, element_type, base=f"{layer.name.partition('#')[0]}.{name}")
    model = editor.finish()
    if [layer.name for layer in find(model)] != [layer.name for layer in layers]:
        raise GraphError("the names of the layers depend on their statistics: this is a defect of Denge")
    return model


class _Reduction:
    """Adds the nodes that compute a layer's new statistics."""

    def __init__(self, editor: GraphEditor, opset: int, prior_weight: str) -> None:
        self.editor = editor
        self.opset = opset
        self.prior_weight = prior_weight
        self.types: dict[str, int] = {}
        self._layer = ""
        self._nodes: list[onnx.NodeProto] = []

    def add(self, layer: FoundLayer) -> Outputs:
        """Make the layer's node read computed statistics."""
        editor, node = self.editor, _node(self.editor, layer)
        self._layer, self._nodes = layer.name, []
        is_double = editor.element_type(layer.input) == TensorProto.DOUBLE
        # A mean over many values loses its digits in half precision.
        kind = self.types[layer.name] = TensorProto.DOUBLE if is_double else TensorProto.FLOAT

        # Of any rank: rows, channels, positions.
        rows = self._op("Reshape", layer.input, self._integers("shape", [0, len(layer.mean), -1]))
        rows = self._cast(rows, editor.element_type(layer.input), kind)
        weight = self._cast(self.prior_weight, TensorProto.FLOAT, kind)
        rest = self._op("Sub", self._constant("one", np.array(1.0), kind), weight)

        centre = self._mean(rows, keepdims=1)
        deviation = self._op("Sub", rows, centre)
        batch_mean = self._op("Reshape", centre, self._integers("channels", [-1]), output="batch_mean")
        batch_var = self._mean(self._op("Mul", deviation, deviation), keepdims=0, output="batch_var")
        floor = np.maximum(layer.var * VARIANCE_FLOOR, layer.eps)

        stored = self._op("Mul", self._constant("stored_mean", layer.mean, kind), weight)
        mean = self._op("Add", stored, self._op("Mul", batch_mean, rest), output="adapted_mean")
        stored = self._op("Mul", self._constant("stored_var", layer.var, kind), weight)
        mixed = self._op("Add", stored, self._op("Mul", batch_var, rest))
        var = self._op("Max", mixed, self._constant("floor", floor, kind), output="adapted_var")

        for slot, name in ((3, mean), (4, var)):
            editor.set_input(node, slot, self._cast(name, kind, editor.element_type(node.input[slot])))
        editor.replace(node, [*self._nodes, node])
        return Outputs(batch_mean, batch_var, mean, var)

    def _mean(self, values: str, keepdims: int, output: str = "") -> str:
        """Over rows and positions."""
        if self.opset >= _AXES_BECAME_AN_INPUT:
            return self._op("ReduceMean", values, self._integers("axes", [0, 2]), output=output, keepdims=keepdims)
        return self._op("ReduceMean", values, output=output, axes=[0, 2], keepdims=keepdims)

    def _cast(self, name: str, kind: int, to: int) -> str:
        return name if kind == to else self._op("Cast", name, to=to)

    def _op(self, op_type: str, *inputs: str, output: str = "", **attributes: int | Sequence[int]) -> str:
        name = self.editor.fresh(f"{self._layer}.{output or op_type.lower()}")
        self._nodes.append(helper.make_node(op_type, inputs, [name], self.editor.fresh(f"{name}.node"), **attributes))
        return name

    def _constant(self, name: str, value: Float64, kind: int) -> str:
        return self.editor.add_constant(f"{self._layer}.{name}", value, kind)

    def _integers(self, name: str, values: Sequence[int]) -> str:
        return self.editor.add_constant(f"{self._layer}.{name}", np.array(values, np.float64), TensorProto.INT64)


def _layers(source: onnx.ModelProto) -> tuple[FoundLayer, ...]:
    layers = find(source)
    if not layers:
        raise GraphError("the graph has no BatchNormalization node: there is nothing to adapt")
    return layers


def _node(editor: GraphEditor, layer: FoundLayer) -> onnx.NodeProto:
    node = editor.producer(layer.output)
    if node is None:
        raise GraphError(f"layer '{layer.name}': no node computes '{layer.output}'")
    return node
