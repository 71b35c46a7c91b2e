"""Makes every normalisation layer use the statistics of its batch, mixed with the stored ones, in plain ONNX.

AdaBN (Li et al. 2016) with a prior (Schneider et al. 2020): a layer that meets a batch of n rows normalises by

    mean' = w mean + (1 - w) batch_mean
    var'  = w var  + (1 - w) batch_var            but at least max(var / 100, eps)

with w = N / (N + n), where N is the number of rows that the stored statistics count as. The variance of the batch is
the biased one, and the distance between the two means adds nothing to the mixture's, as in Schneider et al.

No N suits both 16 rows of other inputs and 64 rows of the usual ones. So by default each layer estimates a w of its own
for its means, and one for its variances, by empirical Bayes (James & Stein 1961; Efron & Morris 1973, "Stein's
estimation rule and its competitors"). In units of the stored standard deviations, channel c has moved by some m_c, and
the batch shows m_c with a sampling error whose variance is e_c. Where the mean square of m_c over the layer's channels
is A, and that of the errors E, the w of least expected squared error is E / (E + A). The batch's own distance
d_c = (batch_mean - mean) / sqrt(var + eps) has the mean square A + E, so

    w = mean of e_c / mean of d_c^2,   at most 1          e_c = variance over rows of the rows' means / (n (var + eps))

and likewise for variances, by the rows' mean squared deviations, in units of the stored variances. Rows that moved no
further than chance takes them keep the stored statistics; the further they moved, the less these count. Rows are the
unit, never positions: the pixels of one image are alike. (Where a Reshape has made rows of positions, these count, the
error comes out too small, and the weight with it: towards AdaBN.)

Every layer reads what the layers before it compute from the same batch with their own new statistics, so one forward
pass is exact for all layers: what AdaBN computes layer after layer.

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

ESTIMATED = -1.0
"""In place of a weight of the stored statistics: each layer estimates its own."""

_TINY = 1e-30
_AXES_BECAME_AN_INPUT = 18  # of ReduceMean


@dataclass(frozen=True)
class ChannelStatistics:
    """Mean and variance of a layer's input per channel, shape (C,), float64."""

    mean: Float64
    var: Float64


@dataclass(frozen=True)
class Outputs:
    """Names of a layer's outputs: the statistics of its batch, those that it normalises by, and how they were mixed.

    Attributes:
        batch_mean, batch_var: of the layer's input over the batch.
        mean, var: the new statistics.
        weights: of the stored mean and of the stored variance in them, shape (2,).
    """

    batch_mean: str
    batch_var: str
    mean: str
    var: str
    weights: str


@dataclass(frozen=True)
class Adaptive:
    """A graph whose layers normalise by the statistics of the batch, mixed with the stored ones.

    Attributes:
        model: has the inputs and outputs of the source graph, the input `prior_weight`, and each layer's outputs.
        prior_weight: name of the input, a float32 of shape (), for w: 1 gives the source network itself (but for
            variances below eps), 0 ignores the stored statistics, and with `ESTIMATED` each layer estimates its own.
        layers: the outputs of each layer, of shape (C,) but for the weights, float32, or float64 where the layer
            computes in float64.
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
        *statistics, weights = astuple(outputs[layer.name])
        model.graph.output.extend(helper.make_tensor_value_info(name, kind, [len(layer.mean)]) for name in statistics)
        model.graph.output.append(helper.make_tensor_value_info(weights, kind, [2]))
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
        values = self._op("Reshape", layer.input, self._integers("shape", [0, len(layer.mean), -1]))
        values = self._cast(values, editor.element_type(layer.input), kind)
        given = self._cast(self.prior_weight, TensorProto.FLOAT, kind)
        others = self._others(values, kind)

        row_mean = self._mean(values, [2])
        centre = self._mean(row_mean, [0])
        deviation = self._op("Sub", values, centre)
        row_var = self._mean(self._op("Mul", deviation, deviation), [2])  # about the mean of all rows
        spread = self._mean(row_var, [0])
        batch_mean = self._op("Reshape", centre, self._integers("channels", [-1]), output="batch_mean")
        batch_var = self._op("Reshape", spread, self._integers("channels", [-1]), output="batch_var")

        variance = layer.var + layer.eps
        of_mean = self._chance("mean", (row_mean, centre), others, layer.mean, variance, kind)
        of_var = self._chance("var", (row_var, spread), others, layer.var, variance**2, kind)
        estimated = self._op("Concat", of_mean, of_var, axis=0)
        is_estimated = self._op("Less", given, self._constant("zero", np.array(0.0), kind))
        weights = self._op("Where", is_estimated, estimated, given, output="weights")
        mean_weight = self._op("Gather", weights, self._integers("mean_weight", [0]))
        var_weight = self._op("Gather", weights, self._integers("var_weight", [1]))
        mean = self._mix(batch_mean, layer.mean, mean_weight, kind, output="adapted_mean")
        floor = self._constant("floor", np.maximum(layer.var * VARIANCE_FLOOR, layer.eps), kind)
        var = self._op("Max", self._mix(batch_var, layer.var, var_weight, kind), floor, output="adapted_var")

        for slot, name in ((3, mean), (4, var)):
            editor.set_input(node, slot, self._cast(name, kind, editor.element_type(node.input[slot])))
        editor.replace(node, [*self._nodes, node])
        return Outputs(batch_mean, batch_var, mean, var, weights)

    def _chance(self, name: str, rows: tuple[str, str], others: str, stored: Float64, unit: Float64, kind: int) -> str:
        """The share of chance in a layer's distance from a stored statistic: the weight to estimate, shape (1,).

        Args:
            name: of the statistic.
            rows: the statistic of each row, shape (n, C, 1), and its mean over rows, shape (1, C, 1).
            others: rows of the batch less one.
            stored: the stored statistic.
            unit: the square of what it is measured in, per channel.
        """
        per_unit = self._constant(f"per_{name}_unit", 1 / unit[:, None], kind)
        off = self._op("Sub", *rows)
        spread = self._mean(self._op("Mul", off, off), [0])
        error = self._mean(self._op("Div", self._op("Mul", spread, per_unit), others), [0, 1, 2])
        shift = self._op("Sub", rows[1], self._constant(f"stored_{name}", stored[:, None], kind))
        distance = self._mean(self._op("Mul", self._op("Mul", shift, shift), per_unit), [0, 1, 2])
        distance = self._op("Max", distance, self._constant("tiny", np.array(_TINY), kind))
        ratio = self._op("Reshape", self._op("Div", error, distance), self._integers("one_weight", [-1]))
        return self._op("Min", ratio, self._constant("one", np.array(1.0), kind))

    def _mix(self, batch: str, stored: Float64, weight: str, kind: int, output: str = "") -> str:
        rest = self._op("Sub", self._constant("one", np.array(1.0), kind), weight)
        kept = self._op("Mul", self._constant("stored", stored, kind), weight)
        return self._op("Add", kept, self._op("Mul", batch, rest), output=output)

    def _others(self, values: str, kind: int) -> str:
        """Rows of the batch less one, at least one, shape (1,)."""
        shape = self._op("Shape", values)
        count = self._op("Gather", shape, self._integers("rows_axis", [0]))
        less = self._op("Sub", self._op("Cast", count, to=kind), self._constant("one", np.array(1.0), kind))
        return self._op("Max", less, self._constant("one", np.array(1.0), kind))

    def _mean(self, values: str, axes: Sequence[int]) -> str:
        """Over some axes, which stay with size 1."""
        if self.opset >= _AXES_BECAME_AN_INPUT:
            return self._op("ReduceMean", values, self._integers("axes", axes), keepdims=1)
        return self._op("ReduceMean", values, axes=axes, keepdims=1)

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
