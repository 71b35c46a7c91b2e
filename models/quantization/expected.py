"""Statistics of a graph's tensors without any row: from its batch normalisation, as Nagel et al. (2019) do.

The output of a batch-normalisation layer has mean beta and standard deviation gamma in every channel; its range is n of
them about the mean (Nagel et al. 2019, "Data-Free Quantization through Weight Equalization and Bias Correction",
section 4.2.2). What follows a layer is computed from that, with values taken as normal and independent:

    f(x)        elementwise    E f = sum_k w_k f(mean + std z_k)         over a grid z_k of +-n, with normal weights w_k
    x + y                      mean_x + mean_y,  sqrt(std_x^2 + std_y^2)
    W x + b                    W mean + b,       sqrt(W^2 std^2)
"""

from collections.abc import Callable, Iterable

import numpy as np
import onnx
from onnx import TensorProto

from models.batchnorm import Float64
from models.graph.editor import GraphEditor
from models.graph.nodes import attribute, is_standard, number
from models.manifest import ImagePreprocessing, NormLayer
from models.quantization.linear import LinearNode
from models.quantization.tensor_statistics import Statistics, TensorStatistics

SIGMAS = 6.0
"""Half the width of a range, in standard deviations: Nagel et al. find no difference between 5 and 7."""

_GRID = np.linspace(-SIGMAS, SIGMAS, 241)
_WEIGHTS = np.exp(-(_GRID**2) / 2) / np.exp(-(_GRID**2) / 2).sum()

_SAME = ("AveragePool", "Flatten", "GlobalAveragePool", "Identity", "MaxPool", "ReduceMean", "Reshape", "Squeeze")
"""Operators whose values are about as those of their input, where they leave the channels on axis 1."""


def expect(
    folded: onnx.ModelProto, layers: Iterable[NormLayer], preprocessing: ImagePreprocessing | None = None
) -> Statistics:
    """Of the tensors for which they follow from the layers or, for the input, from how images become rows.

    Args:
        folded: as `models.graph.fold.fold` returns it.
        layers: with their placements in the graph.
        preprocessing: of the model.
    """
    editor = GraphEditor(folded)
    found = {layer.placement.tensor: _of_layer(layer) for layer in layers if layer.placement.axis == 1}
    if preprocessing is not None:
        found[folded.graph.input[0].name] = _of_pixels(preprocessing)
    for node in editor.nodes:
        if not node.output or node.output[0] in found or editor.element_type(node.output[0]) != TensorProto.FLOAT:
            continue
        statistics = _of_output(editor, node, found)
        if statistics is not None:
            found[node.output[0]] = statistics
    return found


def _of_layer(layer: NormLayer) -> TensorStatistics:
    """Of the tensor that a layer is read at: its output is scale * tensor + shift."""
    gamma, beta, var = (np.array(values) for values in (layer.gamma, layer.beta, layer.running_var))
    scale = np.ones_like(gamma) if layer.placement.scale is None else np.array(layer.placement.scale)
    shift = np.zeros_like(gamma) if layer.placement.shift is None else np.array(layer.placement.shift)
    safe = np.where(scale == 0, 1.0, scale)
    return _normal((beta - shift) / safe, np.abs(gamma / safe) * np.sqrt(var / (var + layer.eps)))


def _of_pixels(preprocessing: ImagePreprocessing) -> TensorStatistics:
    mean, std = np.array(preprocessing.mean), np.array(preprocessing.std)
    low, high = (0.0 - mean) / std, (255 * preprocessing.scale - mean) / std
    return TensorStatistics(np.zeros_like(mean), np.ones_like(mean), low, high)


def _normal(mean: Float64, std: Float64) -> TensorStatistics:
    return TensorStatistics(mean, std, mean - SIGMAS * std, mean + SIGMAS * std)


def _of_output(editor: GraphEditor, node: onnx.NodeProto, found: Statistics) -> TensorStatistics | None:
    """Of the first output of a node; None where it does not follow."""
    given = [found[name] for name in node.input if name in found]
    if not given:
        return None
    if (linear := LinearNode.read(editor, node)) is not None:
        return _of_linear(linear, given[0])
    if is_standard(node, "Add") and len(given) == 2 and len(given[0].mean) == len(given[1].mean):
        return _of_sum(*given)
    if is_standard(node, *_SAME):
        return _repeat(given[0], editor.shape(node.output[0]))
    if is_standard(node, "Concat") and len(given) == len(node.input) and attribute(node, "axis") == 1:
        parts = ([getattr(each, field) for each in given] for field in ("mean", "std", "low", "high"))
        return TensorStatistics(*map(np.concatenate, parts))
    function = _elementwise(editor, node)
    return None if function is None else _of_function(function, given[0])


def _of_linear(linear: LinearNode, x: TensorStatistics) -> TensorStatistics | None:
    mean, square = linear.expected_output(x.mean), linear.squared_weights(x.std**2)
    if mean is None or square is None:
        return None
    return _normal(mean, np.sqrt(square))


def _of_sum(x: TensorStatistics, y: TensorStatistics) -> TensorStatistics:
    total = _normal(x.mean + y.mean, np.hypot(x.std, y.std))
    low, high = np.maximum(total.low, x.low + y.low), np.minimum(total.high, x.high + y.high)
    return TensorStatistics(total.mean, total.std, low, high)


def _of_function(function: Callable[[Float64], Float64], x: TensorStatistics) -> TensorStatistics:
    inputs = np.clip(x.mean[:, None] + x.std[:, None] * _GRID, x.low[:, None], x.high[:, None])
    values = function(inputs)
    mean = values @ _WEIGHTS
    std = np.sqrt(np.maximum(np.square(values) @ _WEIGHTS - mean**2, 0))
    return TensorStatistics(mean, std, values.min(axis=1), values.max(axis=1))


def _repeat(x: TensorStatistics, shape: tuple[int | str | None, ...] | None) -> TensorStatistics | None:
    """Of a tensor with as many positions in each channel; None where the channels are lost."""
    if shape is None or len(shape) < 2 or not isinstance(shape[1], int) or shape[1] % len(x.mean):
        return None
    times = shape[1] // len(x.mean)
    return TensorStatistics(*(np.repeat(values, times) for values in (x.mean, x.std, x.low, x.high)))


def _elementwise(editor: GraphEditor, node: onnx.NodeProto) -> Callable[[Float64], Float64] | None:
    """The function of a node that is one of a single value."""
    if is_standard(node, "LeakyRelu"):
        slope = number(node, "alpha", 0.01)
        return lambda x: np.where(x < 0, slope * x, x)
    if is_standard(node, "Clip") and len(node.input) == 3:
        low, high = (editor.constant(name) for name in node.input[1:])
        return None if low is None or high is None else lambda x: np.clip(x, low, high)
    return _FUNCTIONS.get(node.op_type) if is_standard(node, *_FUNCTIONS) else None


_FUNCTIONS: dict[str, Callable[[Float64], Float64]] = {
    "HardSwish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "Relu": lambda x: np.maximum(x, 0),
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Tanh": np.tanh,
}
