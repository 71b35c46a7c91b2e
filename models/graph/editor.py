"""Edits a graph, and looks up what edits need: producers, users, constants, shapes and types.

An edited weight is kept as float64 and cast once, by `finish`, so that two layers folded into one convolution round
once, not twice.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from models.batchnorm import Float64
from models.graph.constants import COMPUTED, EVALUATED, evaluate
from models.graph.nodes import FLOATS, Dim, fresh_name, is_standard, opset, used_tensors
from models.graph.shapes import infer, without_tensors
from models.graph.weights import to_array
from models.memory import release_pages
from models.stored_graph import NO_WEIGHTS, Weights


class GraphEditor:
    """A mutable copy of the main graph of `model`.

    Every node gets a name, so that messages and placements can refer to it.

    Args:
        model: not changed.
        weights: files that tensors of the model are in. They stay there unless they are edited.
    """

    def __init__(self, model: onnx.ModelProto, weights: Weights = NO_WEIGHTS) -> None:
        self._model = model
        self._weights = weights
        graph = model.graph
        self.nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node]
        self.outputs = frozenset(value.name for value in graph.output)
        self.inputs = frozenset(value.name for value in graph.input)
        self.opset = opset(model)
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        self._edited: dict[str, NDArray[Any]] = {}
        self._types: dict[str, int] = {}
        self._shapes: dict[str, tuple[Dim, ...] | None] | None = None
        self._producers: dict[str, onnx.NodeProto] = {}
        self._users: dict[str, list[onnx.NodeProto]] = {}
        self._names = {name for node in self.nodes for name in (node.name, *used_tensors(node), *node.output)}
        self._names |= self.inputs | self.outputs | set(self._initializers)
        for node in self.nodes:
            node.name = node.name or self.fresh(node.op_type)
            self._link(node)

    # Queries

    def producer(self, tensor: str) -> onnx.NodeProto | None:
        """The node that computes the tensor; None for a graph input or an initializer."""
        return self._producers.get(tensor)

    def users(self, tensor: str) -> list[onnx.NodeProto]:
        """The nodes that read the tensor, one entry for each time; a node whose subgraph reads it counts."""
        return self._users.get(tensor, [])

    def value_users(self, tensor: str) -> list[onnx.NodeProto]:
        """The users that read more of the tensor than its shape, which no fold changes."""
        return [node for node in self.users(tensor) if not is_standard(node, "Shape", "Size")]

    def shape(self, tensor: str) -> tuple[Dim, ...] | None:
        """The shape as far as it can be inferred; None where not even the rank is known."""
        return self._edited[tensor].shape if tensor in self._edited else self._inferred().get(tensor)

    def element_type(self, tensor: str) -> int:
        """The tensor's `onnx.TensorProto.DataType`, 0 (UNDEFINED) where it cannot be inferred."""
        self._inferred()
        return self._types.get(tensor, 0)

    def root(self, name: str) -> str:
        """The tensor behind a chain of Identity nodes."""
        node = self.producer(name)
        return self.root(node.input[0]) if node is not None and is_standard(node, "Identity") else name

    def constant(self, name: str) -> NDArray[Any] | None:
        """The value of a tensor that is the same in every run, float64 if it is of a float type; else None.

        Initializers and what `models.graph.constants` can compute are constants. An initializer that is also an input
        of the graph is not: a request may replace its value.
        """
        root = self.root(name)
        if root in self._edited:
            return self._edited[root]
        if root in self._initializers:
            return None if root in self.inputs else _as_float64(to_array(self._initializers[root], self._weights))
        node = self.producer(root)
        value = evaluate(node, self.constant, self.shape, self.producer, self.opset) if node is not None else None
        element_type = self.element_type(root)
        if value is None or not element_type:
            return None
        return _as_float64(value.astype(_dtype(element_type)))  # rounded as the graph rounds it

    def overflows(self, value: Float64, element_type: int) -> bool:
        """Whether a value that is finite in float64 is not finite in the graph's type."""
        largest = float(ml_dtypes.finfo(_dtype(element_type)).max)  # type: ignore[no-untyped-call]
        return value.size > 0 and not (-largest <= value.min() and value.max() <= largest)  # true of a NaN

    # Edits

    def fresh(self, base: str) -> str:
        """A name that is not used in the graph yet: `base`, or `base` with a number."""
        return fresh_name(base, self._names)

    def add_constant(self, base: str, value: Float64, element_type: int) -> str:
        """Add an initializer and return its name."""
        name = self.fresh(base)
        self._edited[name] = value
        self._types[name] = element_type
        return name

    def store_computed_constants(self) -> None:
        """Replace the nodes that compute constants by initializers.

        More shapes can be inferred from these, and more constants from the shapes: the end of a Slice of a Slice.
        """
        before = len(self.nodes) + 1
        while len(self.nodes) < before:
            before = len(self.nodes)
            for node in self.nodes.copy():
                self._store_if_constant(node)
            if len(self.nodes) < before:
                self.infer_again()

    def infer_again(self) -> None:
        """Infer shapes anew, where edits let more of them be known."""
        self._shapes = None

    def set_constant(
        self, node: onnx.NodeProto, slot: int, value: Float64, element_type: int, base: str | None = None
    ) -> None:
        """Make input `slot` of the node this constant.

        The initializer keeps its name unless something else reads it too, or a node computes it: then the node gets a
        constant of its own, named after `base` or, when absent, after the old one.
        """
        old = node.input[slot] if slot < len(node.input) else ""
        if self._is_private(old):
            self._edited[old] = value
            self._types[old] = element_type
            return
        after_old = f"{old}_folded" if old else node.input[1].removesuffix(".weight") + ".bias"
        self.set_input(node, slot, self.add_constant(base or after_old, value, element_type))

    def set_input(self, node: onnx.NodeProto, slot: int, tensor: str) -> None:
        """Make input `slot` of the node this tensor."""
        with self._changing(node):
            node.input.extend([""] * (slot + 1 - len(node.input)))
            node.input[slot] = tensor

    def set_attribute(self, node: onnx.NodeProto, name: str, value: float) -> None:
        """Set an attribute of the node."""
        kept = [candidate for candidate in node.attribute if candidate.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, value)])

    def add_after(self, node: onnx.NodeProto, value: Float64) -> None:
        """Insert an Add of a constant behind the node; the sum gets the name of the node's output."""
        output = node.output[0]
        inner = self.fresh(f"{output}_unshifted")
        self.declare(inner, like=output)
        shift = self.add_constant(f"{node.name}.shift", value, self.element_type(output))
        with self._changing(node):
            node.output[0] = inner
        self.replace(node, [node, helper.make_node("Add", [inner, shift], [output], self.fresh(f"{node.name}.add"))])

    def declare(self, tensor: str, like: str) -> None:
        """Record that a new tensor has the type and shape of another."""
        self._types[tensor] = self.element_type(like)
        self._inferred()[tensor] = self.shape(like)

    def replace(self, node: onnx.NodeProto, by: Sequence[onnx.NodeProto]) -> None:
        """Replace a node by other nodes, or by none."""
        at = next(index for index, candidate in enumerate(self.nodes) if candidate is node)
        self._unlink(node)
        self.nodes[at : at + 1] = by
        for new in by:
            self._link(new)

    def rename_output(self, old: str, new: str) -> None:
        """Rename an output of a node. Nothing may read `old` any more."""
        node = self._producers[old]
        with self._changing(node):
            node.output[list(node.output).index(old)] = new

    def redirect(self, old: str, new: str) -> None:
        """Make every node that reads `old` read `new`."""
        for node in self.users(old).copy():
            with self._changing(node):
                for slot, name in enumerate(node.input):
                    if name == old:
                        node.input[slot] = new

    def finish(self) -> onnx.ModelProto:
        """The edited model: weights cast to their types, and constants removed that nothing reads."""
        while True:
            dead = [
                node
                for node in self.nodes
                if is_standard(node, "Identity", *EVALUATED, *COMPUTED) and self._is_unread(node)
            ]
            if not dead:
                break
            for node in dead:
                self.replace(node, [])
        release_pages(self._weights)
        model = without_tensors(self._model)
        graph = model.graph
        graph.node.extend(self.nodes)
        used = set(self._users) | self.outputs | self.inputs
        for name in dict.fromkeys([*self._initializers, *self._edited]):
            if name in used:
                self._store(name, graph.initializer.add())
        graph.value_info.extend(value for value in self._model.graph.value_info if value.name in self._producers)
        return model

    # Internals

    def _store_if_constant(self, node: onnx.NodeProto) -> None:
        name = node.output[0]
        if node.op_type == "Constant" or not is_standard(node, *EVALUATED, *COMPUTED) or name in self.outputs:
            return
        value = self.constant(name)
        if value is not None:
            self._types[name] = self.element_type(name)
            self._edited[name] = value
            self.replace(node, [])

    def _link(self, node: onnx.NodeProto) -> None:
        self._producers |= {name: node for name in node.output if name}
        for name in used_tensors(node):
            self._users.setdefault(name, []).append(node)

    def _unlink(self, node: onnx.NodeProto) -> None:
        for name in node.output:
            self._producers.pop(name, None)
        for name in used_tensors(node):
            remaining = [user for user in self._users.pop(name, []) if user is not node]
            if remaining:
                self._users[name] = remaining

    @contextmanager
    def _changing(self, node: onnx.NodeProto) -> Iterator[None]:
        """Inputs and outputs of the node may change inside."""
        self._unlink(node)
        yield
        self._link(node)

    def _inferred(self) -> dict[str, tuple[Dim, ...] | None]:
        if self._shapes is None:
            self._shapes = {}
            constants = [(name, self._types[name], value) for name, value in self._edited.items()]
            for tensor in infer(self._model, self.nodes, constants):
                self._types.setdefault(tensor.name, tensor.element_type)
                if tensor.shape is not None:
                    self._shapes[tensor.name] = tensor.shape
        return self._shapes

    def _is_private(self, name: str) -> bool:
        known = name in self._edited or (name in self._initializers and name not in self.inputs)
        return known and len(self.users(name)) == 1 and name not in self.outputs

    def _is_unread(self, node: onnx.NodeProto) -> bool:
        return not any(name in self.outputs or self.users(name) for name in node.output)

    def _store(self, name: str, tensor: onnx.TensorProto) -> None:
        if name not in self._edited:
            tensor.CopyFrom(self._initializers[name])
            return
        value = self._edited.pop(name).astype(_dtype(self._types[name]))  # one float64 copy less in memory
        tensor.name, tensor.data_type, tensor.raw_data = name, self._types[name], value.tobytes()
        tensor.dims.extend(value.shape)


def _as_float64(value: NDArray[Any]) -> NDArray[Any]:
    """Numbers of a float type as float64; others as they are."""
    return value.astype(np.float64) if helper.np_dtype_to_tensor_dtype(value.dtype) in FLOATS else value


def _dtype(element_type: int) -> np.dtype[np.generic]:
    dtype: np.dtype[np.generic] = helper.tensor_dtype_to_np_dtype(element_type)
    return dtype
