"""Weights in half precision: stored as float16, and computed with as float32.

In the graph such a weight is an initializer of type float16, and a Cast to float32 with the weight's name. Any runtime
reads it. onnxruntime casts once, when it loads the graph.
"""

from collections import Counter
from collections.abc import Iterable

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from models.graph.nodes import attribute, is_standard, used_tensors
from models.graph.weights import WeightFiles, split_model, to_array
from models.stored_graph import SerializedGraph

_SUFFIX = ".float16"
"""Of the name of a weight, for its initializer. By it the Cast is told from one that the network has itself."""

_LARGEST = float(np.finfo(np.float16).max)


def store_halved(
    graph: SerializedGraph, files: WeightFiles, file: str, apart_from: str = ""
) -> tuple[SerializedGraph, int]:
    """A graph whose weights are rounded to half precision, and the number of these weights.

    Weights are float32 initializers in a file of the graph, with more than one axis longer than 1. Statistics, scales
    and biases have one value per channel, and stay as they are. So does a weight that half precision does not hold: a
    mask of huge values, or a channel so small that it would vanish.

    Args:
        graph: with weights in files; not changed.
        files: to store the weights in, beside those of the version's other graphs.
        file: name for the file of those that are in no other one.
        apart_from: as `WeightFiles.store` takes it.
    """
    model, weights = split_model(graph)
    borders = _borders(model)
    taken = borders | {tensor.name for tensor in model.graph.initializer}
    taken |= {name for node in model.graph.node for name in node.output}
    casts = []
    for tensor in model.graph.initializer:
        name = tensor.name
        if not _is_weight(tensor) or name in borders or name + _SUFFIX in taken:
            continue
        half = _round(to_array(tensor, weights))
        if half is not None:
            tensor.CopyFrom(numpy_helper.from_array(half, name + _SUFFIX))
            casts.append(helper.make_node("Cast", [tensor.name], [name], tensor.name, to=onnx.TensorProto.FLOAT))
    _replace_nodes(model, [*casts, *model.graph.node])
    return files.store(model, file, weights, apart_from), len(casts)


def widen(model: onnx.ModelProto) -> None:
    """Make float32 initializers of the weights that `store_halved` has rounded: what the rest of the project expects.

    Args:
        model: valid, with its weights inside; changed.
    """
    halves = {
        tensor.name: tensor
        for tensor in model.graph.initializer
        if tensor.name.endswith(_SUFFIX) and tensor.data_type == onnx.TensorProto.FLOAT16
    }
    for name in _borders(model):
        halves.pop(name, None)
    if not halves:
        return
    readers = Counter(name for node in model.graph.node for name in used_tensors(node))
    others = []
    for node in model.graph.node:
        if not _is_widening(node) or node.input[0] not in halves or readers[node.input[0]] > 1:
            others.append(node)
            continue
        tensor = halves.pop(node.input[0])
        value = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(value, node.output[0]))
    _replace_nodes(model, others)


def _borders(model: onnx.ModelProto) -> set[str]:
    return {value.name for value in (*model.graph.input, *model.graph.output)}


def _is_weight(tensor: onnx.TensorProto) -> bool:
    is_matrix = sum(size > 1 for size in tensor.dims) > 1
    return is_matrix and bool(tensor.external_data) and tensor.data_type == onnx.TensorProto.FLOAT


def _is_widening(node: onnx.NodeProto) -> bool:
    is_cast = is_standard(node, "Cast") and attribute(node, "to") == onnx.TensorProto.FLOAT
    return is_cast and node.input[0] == node.output[0] + _SUFFIX


def _round(value: NDArray[np.float32]) -> NDArray[np.float16] | None:
    """The rounded weight; None if a value is too large, or all values of a channel that is not zero are too small."""
    if not np.abs(value).max(initial=0.0) <= _LARGEST:  # true of a NaN
        return None
    half = value.astype(np.float16)
    for axis in range(value.ndim):
        others = tuple(other for other in range(value.ndim) if other != axis)
        if (value.any(axis=others) & ~half.any(axis=others)).any():
            return None
    return half


def _replace_nodes(model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto]) -> None:
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(kept)
