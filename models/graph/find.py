"""Finds the batch-normalisation layers of an ONNX graph, and refuses graphs whose layers cannot be served."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import onnx

from models.batchnorm import Float64, scale_shift
from models.errors import GraphError, MissingStatistics, TrainingModeGraph
from models.graph.editor import GraphEditor
from models.graph.nodes import integer, is_standard, label, nested, number
from models.stored_graph import NO_WEIGHTS, Weights

OP_TYPE = "BatchNormalization"
HOW_TO_EXPORT = "call model.eval(), build its layers with track_running_stats=True, and export again"


@dataclass(frozen=True)
class FoundLayer:
    """One BatchNormalization node: ``y = gamma * (x - mean) / sqrt(var + eps) + beta`` on axis 1.

    Attributes:
        name: unique in the graph, e.g. ``layer1.0.bn1``; a layer run twice is found twice: ``bn``, ``bn#2``.
        gamma, beta, mean, var: shape (C,), float64.
        eps: added to the variance before the root.
        momentum: fraction of the running value kept at each training step (ONNX and Keras; torch states the rest).
        input, output: names of the tensors x and y.
    """

    name: str
    gamma: Float64
    beta: Float64
    mean: Float64
    var: Float64
    eps: float
    momentum: float
    input: str
    output: str

    @property
    def scale_shift(self) -> tuple[Float64, Float64]:
        """The layer as ``y = scale * x + shift``, each of shape (C,)."""
        return scale_shift(self.gamma, self.beta, self.mean, self.var, self.eps)


def find(model: onnx.ModelProto, weights: Weights = NO_WEIGHTS) -> tuple[FoundLayer, ...]:
    """The layers of a graph in inference mode, in topological order.

    Args:
        model: the graph.
        weights: files that tensors of the model are in.

    Raises:
        TrainingModeGraph: a layer normalises with the statistics of its batch.
        MissingStatistics: a layer's running mean or variance is not stored in the graph.
        GraphError: a layer's parameters are invalid, or it is inside a subgraph or function, where none is supported.
    """
    _refuse_nested(model)
    editor = GraphEditor(model, weights)
    seen: Counter[str] = Counter()
    layers = []
    for node in editor.nodes:
        if is_standard(node, OP_TYPE):
            name = layer_name(node, [editor.root(parameter) for parameter in node.input[1:5]])
            seen[name] += 1
            layers.append(_read(editor, node, name if seen[name] == 1 else f"{name}#{seen[name]}"))
    return tuple(layers)


def layer_name(node: onnx.NodeProto, parameters: Sequence[str]) -> str:
    """The layer's name.

    The part that the names of its parameters share (``layer1.0.bn1.weight``, ``layer1.0.bn1.bias``, ...); of the
    statistics alone where scale and bias are anonymous constants; else the name of the node.
    """
    for names in (parameters, parameters[2:]):
        if shared := _shared_prefix([_dotted(name) for name in names]):
            return shared
    return _dotted(node.name)


def _shared_prefix(names: Sequence[str]) -> str:
    parents = [name.split(".")[:-1] for name in names]
    shared = [steps[0] for steps in takewhile(lambda steps: len(set(steps)) == 1, zip(*parents, strict=False))]
    if any(shared):
        return ".".join(shared)
    # bn1_gamma, bn1_beta, ... but not val_8, val_9, whose numbers mean nothing
    words = [re.fullmatch(r"(\w+?)_(gamma|beta|scale|bias|weight|b|\w*mean|\w*var\w*)", name) for name in names]
    prefixes = {word and word[1] for word in words}
    return prefixes.pop() or "" if len(prefixes) == 1 else ""


def _dotted(name: str) -> str:
    return name.lstrip("/").replace("/", ".")


def _read(editor: GraphEditor, node: onnx.NodeProto, name: str) -> FoundLayer:
    if integer(node, "training_mode", 0) or any(node.output[1:]):
        raise TrainingModeGraph(f"layer '{name}' is in training mode, its output depends on the batch: {HOW_TO_EXPORT}")
    if not integer(node, "spatial", 1):
        raise GraphError(f"layer '{name}' keeps statistics per position (spatial=0), not per channel")
    values = []
    for parameter, tensor in zip(("scale", "bias", "running mean", "running variance"), node.input[1:5], strict=True):
        value = editor.constant(tensor)
        if value is None:
            error = MissingStatistics if parameter.startswith("running") else GraphError
            raise error(f"layer '{name}': the {parameter} is {_origin(editor, tensor)}, not stored: {HOW_TO_EXPORT}")
        if not np.isfinite(value.astype(np.float64)).all():
            raise GraphError(f"layer '{name}': the {parameter} has a value that is not finite")
        values.append(value.astype(np.float64).reshape(-1))
    gamma, beta, mean, var = values
    eps, momentum = number(node, "epsilon", 1e-5), number(node, "momentum", 0.9)
    if len({len(value) for value in values}) != 1:
        raise GraphError(f"layer '{name}': its parameters have {[len(value) for value in values]} channels")
    if not len(var):
        raise GraphError(f"layer '{name}' has no channels")
    if eps <= 0 or var.min() < 0:
        raise GraphError(f"layer '{name}': epsilon must be positive and no variance negative")
    return FoundLayer(name, gamma, beta, mean, var, eps, momentum, node.input[0], node.output[0])


def _origin(editor: GraphEditor, tensor: str) -> str:
    root = editor.root(tensor)
    if root in editor.inputs:
        return "an input of the graph"
    node = editor.producer(root)
    return f"computed by {label(node)}" if node is not None else "missing"


def _refuse_nested(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        for inner in nested(node):
            if is_standard(inner, OP_TYPE):
                raise GraphError(f"{OP_TYPE} '{inner.name}' is inside {label(node)}: subgraphs are not supported")
    for function in model.functions:
        for node in function.node:
            if any(is_standard(inner, OP_TYPE) for inner in (node, *nested(node))):
                raise GraphError(f"{OP_TYPE} '{node.name}' is inside function '{function.name}' of the file")
