"""Puts the layers that an exporter merged or decomposed back into a graph, as BatchNormalization nodes.

In a graph, a layer of a trained network can be

- a BatchNormalization node: then it is left as it is;
- the arithmetic ``x - c``, ``x * c``, ``x + c`` with constants per channel, as Keras exports it: it is replaced;
- merged into the weights of the Conv, ConvTranspose or Gemm before it, as most exporters do: the original weights and
  the layer take their place.

Each is recognised by its numbers (see `models.importing.trained`), so the names that an exporter invents do not matter.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper

from models.batchnorm import Float64
from models.errors import GraphError
from models.graph.editor import GraphEditor
from models.graph.find import OP_TYPE, find
from models.graph.nodes import FLOATS, is_standard
from models.importing.trained import TrainedLayer, TrainedParameters, TrainedWeight
from models.importing.weights import laid_out, ratio, rows
from models.stored_graph import NO_WEIGHTS, Weights

_ARITHMETIC = ("Sub", "Mul", "Add", "Div")
_WEIGHTED = ("Conv", "ConvTranspose", "Gemm")
_MOST_STEPS = 3
"""Sub, Mul and Add: of x - mean, times scale, plus beta."""


@dataclass(frozen=True)
class Restored:
    """A graph with its layers.

    Attributes:
        model: computes what the given graph computes.
        layers: names of the layers that were put back, in topological order.
        missing: names of the trained network's layers that are in no way in the graph.
    """

    model: onnx.ModelProto
    layers: tuple[str, ...]
    missing: tuple[str, ...]


def restore(model: onnx.ModelProto, trained: TrainedParameters, weights: Weights = NO_WEIGHTS) -> Restored:
    """Put the layers of a trained network back into its exported graph; `model` is not changed.

    Args:
        model: exported from the network, in inference mode.
        trained: the network's own parameters.
        weights: files that tensors of the model are in.

    Raises:
        GraphError: shapes cannot be inferred, or as `models.graph.find.find`.
    """
    work = _Restoration(model, trained, weights)
    for node in list(work.editor.nodes):
        if is_standard(node, *_WEIGHTED):
            work.divide(node)
        elif is_standard(node, *_ARITHMETIC) and any(node is present for present in work.editor.nodes):
            work.replace_arithmetic(node)
    restored = work.editor.finish()
    names = {layer.name for layer in work.restored}
    found = [layer.name for layer in find(restored, weights)]
    return Restored(
        restored,
        tuple(name for name in found if name.partition("#")[0] in names),
        tuple(layer.name for layer in work.remaining),
    )


@dataclass(frozen=True)
class _Channels:
    """A constant that has one value per channel, shape (C,), and the channels' axis in the tensor."""

    values: Float64
    axis: int


class _Restoration:
    def __init__(self, model: onnx.ModelProto, trained: TrainedParameters, weights: Weights) -> None:
        self.editor = GraphEditor(model, weights)
        self.editor.store_computed_constants()
        self.weights = trained.weights
        self.layers = trained.layers
        self.restored: list[TrainedLayer] = []
        self.remaining = list(trained.layers)
        for found in find(model, weights):
            same = [layer for layer in self.remaining if _has_statistics(layer, found.mean, found.var)]
            if same:
                present = next((layer for layer in same if layer.name == found.name), same[0])
                self.remaining = [layer for layer in self.remaining if layer is not present]

    # Arithmetic per channel

    def replace_arithmetic(self, first: onnx.NodeProto) -> None:
        """Replace the longest run of nodes from this one that is a layer, if there is one."""
        scale, shift, axis = np.ones(1), np.zeros(1), None
        match, run = None, []
        for node, tensor, constant in self._run(first):
            run.append(node)
            if axis not in (None, constant.axis) and constant.values.size > 1:
                break
            axis = constant.axis
            scale, shift = _then(node.op_type, scale, shift, constant.values)
            size = max(scale.size, shift.size)
            found = self._choose(np.broadcast_to(scale, size), np.broadcast_to(shift, size), self._unit(tensor))
            if found is not None:
                match = (*found, len(run), axis)
        if match is not None:
            layer, eps, count, axis = match
            self._insert(layer, eps, _tensor(self.editor, first), run[count - 1], axis)
            for node in run[: count - 1]:
                self.editor.replace(node, [])

    def _run(self, first: onnx.NodeProto) -> Iterator[tuple[onnx.NodeProto, str, _Channels]]:
        """Nodes one after the other that each combine the tensor with a constant; casts between them are passed."""
        node: onnx.NodeProto | None = first
        for _ in range(_MOST_STEPS):
            while node is not None and self._is_passed(node):
                node = self._only_user(node.output[0])
            if node is None or not is_standard(node, *_ARITHMETIC):
                return
            tensor = _tensor(self.editor, node)
            constant = self._channels(node, tensor) if tensor else None
            if constant is None:
                return
            yield node, tensor, constant
            node = self._only_user(node.output[0])

    def _is_passed(self, node: onnx.NodeProto) -> bool:
        if is_standard(node, "Identity"):
            return True
        kinds = {self.editor.element_type(name) for name in (node.input[0], node.output[0])} if node.input else set()
        return is_standard(node, "Cast") and len(kinds) == 1

    def _only_user(self, tensor: str) -> onnx.NodeProto | None:
        users = self.editor.users(tensor)
        return users[0] if len(users) == 1 and tensor not in self.editor.outputs else None

    def _channels(self, node: onnx.NodeProto, tensor: str) -> _Channels | None:
        constant = next(name for name in node.input if name != tensor)
        value, dims = self.editor.constant(constant), self.editor.shape(tensor)
        if value is None or dims is None or value.dtype != np.float64 or value.ndim > len(dims):
            return None
        long = [axis + len(dims) - value.ndim for axis, size in enumerate(value.shape) if size > 1]
        sizes = [dims[at] for at in long]
        if len(long) > 1 or 0 in long or any(isinstance(size, int) and size != value.size for size in sizes):
            return None
        axis = long[0] if long else next((at for at, size in enumerate(dims) if at and size == 1), 1)
        return _Channels(value.reshape(-1), axis)

    # Weights

    def divide(self, node: onnx.NodeProto) -> None:
        """Take the layer that was merged into this node's weight out of it, if there is one."""
        editor = self.editor
        merged = editor.constant(node.input[1])
        bias = editor.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else np.zeros(())
        if merged is None or bias is None or editor.element_type(node.input[0]) not in FLOATS:
            return
        unit, channels = self._unit(node.input[1]), rows(node, merged)
        for weight in self._alike(node, merged):
            scale = ratio(channels, rows(node, laid_out(node, weight.value)), unit)
            if scale is None:
                continue
            before = np.zeros(len(scale)) if weight.bias is None else weight.bias.astype(np.float64)
            shift = np.broadcast_to(bias.reshape(-1), scale.shape)
            found = self._choose(scale, shift, unit, before, near=weight.name)
            if found is None and (later := self._later_shift(node, scale)) is not None:
                found = self._choose(scale, shift + later[1], unit, before, near=weight.name)
                if found is not None:
                    self._remove_add(later[0])
            if found is None:
                continue
            layer, eps = found
            element_type = editor.element_type(node.input[1])
            editor.set_constant(node, 1, laid_out(node, weight.value).astype(np.float64), element_type)
            if len(node.input) > 2 or before.any():
                editor.set_constant(node, 2, before, element_type)
            output = node.output[0]
            inner = editor.fresh(f"{layer.name}.input")
            node.output[0] = inner
            editor.replace(node, [node, self._node(layer, eps, inner, output, element_type)])
            return

    def _later_shift(self, node: onnx.NodeProto, scale: Float64) -> tuple[onnx.NodeProto, Float64] | None:
        """The Add of a constant per channel behind the node and Transposes: TensorFlow may leave a shift there."""
        follower = self._only_user(node.output[0])
        while follower is not None and (is_standard(follower, "Transpose") or self._is_passed(follower)):
            follower = self._only_user(follower.output[0])
        tensor = _tensor(self.editor, follower) if follower is not None and is_standard(follower, "Add") else ""
        constant = self._channels(follower, tensor) if follower is not None and tensor else None
        if follower is None or constant is None or constant.values.shape != scale.shape:
            return None
        return follower, constant.values

    def _remove_add(self, node: onnx.NodeProto) -> None:
        same = helper.make_node("Identity", [_tensor(self.editor, node)], [node.output[0]], node.name)
        self.editor.replace(node, [same])

    def _alike(self, node: onnx.NodeProto, merged: Float64) -> Sequence[TrainedWeight]:
        """Weights of the same shape; one of the same name comes first."""
        found = [weight for weight in self.weights if laid_out(node, weight.value).shape == merged.shape]
        return sorted(found, key=lambda weight: weight.name != node.input[1])

    # Both

    def _choose(
        self, scale: Float64, shift: Float64, unit: float, before: Float64 | float = 0.0, near: str = ""
    ) -> tuple[TrainedLayer, float] | None:
        """The layer with these numbers and its epsilon.

        Of several alike, one that is not in the graph yet: a network may use a layer twice. Of these, the one whose
        name is most like `near`'s.
        """
        found = [(layer, eps) for layer in self.layers if (eps := layer.match(scale, shift, unit, before)) is not None]
        if not found:
            return None
        return max(
            found,
            key=lambda match: (any(match[0] is layer for layer in self.remaining), _likeness(match[0].name, near)),
        )

    def _insert(self, layer: TrainedLayer, eps: float, tensor: str, last: onnx.NodeProto, axis: int) -> None:
        """Put the layer between `tensor` and the output of `last`; channels that are not on axis 1 are moved there."""
        editor, output = self.editor, last.output[0]
        element_type = editor.element_type(tensor)
        if axis == 1:
            editor.replace(last, [self._node(layer, eps, tensor, output, element_type)])
            return
        there = [0, axis, *(at for at in range(1, len(editor.shape(tensor) or ())) if at != axis)]
        back = [there.index(at) for at in range(len(there))]
        moved, normalised = editor.fresh(f"{layer.name}.input"), editor.fresh(f"{layer.name}.output")
        before, after = editor.fresh(f"{layer.name}.channels_first"), editor.fresh(f"{layer.name}.channels_back")
        nodes = [
            helper.make_node("Transpose", [tensor], [moved], before, perm=there),
            self._node(layer, eps, moved, normalised, element_type),
            helper.make_node("Transpose", [normalised], [output], after, perm=back),
        ]
        editor.replace(last, nodes)

    def _node(self, layer: TrainedLayer, eps: float, tensor: str, output: str, element_type: int) -> onnx.NodeProto:
        values = {"weight": layer.gamma, "bias": layer.beta, "running_mean": layer.mean, "running_var": layer.var}
        constants = [
            self.editor.add_constant(f"{layer.name}.{key}", value, element_type) for key, value in values.items()
        ]
        self.remaining = [other for other in self.remaining if other is not layer]
        self.restored.append(layer)
        name = self.editor.fresh(layer.name)
        return helper.make_node(OP_TYPE, [tensor, *constants], [output], name, epsilon=eps, momentum=layer.momentum)

    def _unit(self, tensor: str) -> float:
        kind = self.editor.element_type(tensor)
        if kind not in FLOATS:
            raise GraphError(f"the type of '{tensor}' cannot be inferred")
        return {onnx.TensorProto.FLOAT: 2.0**-23, onnx.TensorProto.DOUBLE: 2.0**-23}.get(kind, 2.0**-8)


def _has_statistics(layer: TrainedLayer, mean: Float64, var: Float64) -> bool:
    return np.array_equal(layer.mean, mean) and np.array_equal(layer.var, var)


def _tensor(editor: GraphEditor, node: onnx.NodeProto) -> str:
    """The input of an arithmetic node that is no constant; "" if both or none are, or a constant is divided by it."""
    computed = [name for name in node.input if editor.constant(name) is None]
    if len(computed) != 1 or (node.op_type in ("Sub", "Div") and computed[0] != node.input[0]):
        return ""
    return str(computed[0])


def _then(op_type: str, scale: Float64, shift: Float64, constant: Float64) -> tuple[Float64, Float64]:
    """The map ``scale * x + shift``, followed by one more operation."""
    if op_type == "Add":
        return scale, shift + constant
    if op_type == "Sub":
        return scale, shift - constant
    if op_type == "Div":
        with np.errstate(divide="ignore", invalid="ignore"):
            return scale / constant, shift / constant
    return scale * constant, shift * constant


def _likeness(name: str, other: str) -> tuple[int, bool]:
    """How much of their paths two names share, and whether they end in the same number: conv1 and bn1."""
    parts, others = name.split("."), other.split(".")[:-1]
    shared = sum(one == two for one, two in zip(parts[:-1], others[:-1], strict=False))
    numbers = ["".join(filter(str.isdigit, part[-1])) for part in (parts, others) if part]
    return shared, len(numbers) == 2 and numbers[0] == numbers[1]
