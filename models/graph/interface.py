"""A graph whose inputs and outputs are tensors of types that are served, computing what the given one does.

Sequences of tensors become one tensor, stacked along a new first axis; optional values become values; types that the
protocol does not have become the next wider one; the maps of scikit-learn's classifiers become their scores. Inputs
that have a value in the file become constants, as onnxruntime takes them.
"""

from collections.abc import Iterator, Sequence

import onnx
from onnx import TensorProto, helper

from models.errors import GraphError
from models.graph.nodes import attribute, fresh_name, subgraphs
from models.graph.shapes import without_tensors
from models.sequences import stacking_node

_FIRST_IR_WITH_CONSTANTS = 4
"""Before, every initializer had to be an input as well."""

_WIDER = {
    TensorProto.FLOAT8E4M3FN: TensorProto.FLOAT,
    TensorProto.FLOAT8E4M3FNUZ: TensorProto.FLOAT,
    TensorProto.FLOAT8E5M2: TensorProto.FLOAT,
    TensorProto.FLOAT8E5M2FNUZ: TensorProto.FLOAT,
    TensorProto.FLOAT8E8M0: TensorProto.FLOAT,
    TensorProto.INT4: TensorProto.INT8,
    TensorProto.UINT4: TensorProto.UINT8,
    TensorProto.INT2: TensorProto.INT8,
    TensorProto.UINT2: TensorProto.UINT8,
}
"""Element types that are not served, and those that have all of their values."""


def serve_tensors(model: onnx.ModelProto) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """The graph with an interface that can be served, and what was changed, in words; `model` is not changed.

    Raises:
        GraphError: an input or output can have no such form, or there is none.
    """
    changed = without_tensors(model)
    changed.graph.node.extend(model.graph.node)
    changed.graph.value_info.extend(model.graph.value_info)
    interface = _Interface(changed, [tensor.name for tensor in model.graph.initializer])
    interface.drop_inputs_with_values()
    interface.drop_unread_constants()
    for value in list(changed.graph.input):
        interface.serve_input(value)
    for value in list(changed.graph.output):
        interface.serve_output(value)
    if not changed.graph.input or not changed.graph.output:
        raise GraphError("the graph has no inputs or no outputs: there is nothing to predict")
    if changed.graph.input == model.graph.input and not interface.changes:
        return model, ()  # without a copy of the weights
    changed.graph.initializer.extend(model.graph.initializer)
    return changed, tuple(interface.changes)


class _Interface:
    """The inputs and outputs of a graph while they are changed."""

    def __init__(self, model: onnx.ModelProto, initializers: Sequence[str]) -> None:
        self._model = model
        self._graph = model.graph
        self._initializers = frozenset(initializers)
        self._names = {*_names(model.graph), *initializers}
        self.changes: list[str] = []

    def drop_inputs_with_values(self) -> None:
        """Make constants of the inputs that have an initializer."""
        inputs = [value for value in self._graph.input if value.name not in self._initializers]
        if len(inputs) < len(self._graph.input):
            del self._graph.input[:]
            self._graph.input.extend(inputs)
            self._model.ir_version = max(self._model.ir_version, _FIRST_IR_WITH_CONSTANTS)

    def drop_unread_constants(self) -> None:
        """Drop inputs of a fixed size that nothing reads, where another one takes any number of rows.

        tf2onnx leaves those of constants that it has folded, and no request could give them for each of its rows.
        """
        read = set(_read_names(self._graph))
        unread = [value for value in self._graph.input if value.name not in read and not _takes_rows(value)]
        if any(value.name in read and _takes_rows(value) for value in self._graph.input):
            for value in unread:
                self._graph.input.remove(value)
                self.changes.append(f"'{value.name}' is no input any more: nothing reads it")

    def serve_input(self, value: onnx.ValueInfoProto) -> None:
        """Have the graph take a tensor, from which new nodes make what it took."""
        tensor, steps = _unwrap(value, "Optional", "SplitToSequence")
        if not tensor.HasField("shape"):
            raise GraphError(f"input '{value.name}' states no shape: state one, with free sizes where it may vary")
        sizes = tensor.shape.dim
        if len(sizes) > 1 and sizes[0].HasField("dim_value") and not sizes[0].dim_value:
            raise GraphError(f"input '{value.name}' states a batch of size 0: state a free size")
        wider = _WIDER.get(tensor.elem_type)
        if not steps and wider is None:
            return
        name, inner = value.name, self._rename_uses(f"{value.name}_given", value.name)
        nodes: list[tuple[str, dict[str, int]]] = [] if wider is None else [("Cast", {"to": tensor.elem_type})]
        nodes += [(step, {"keepdims": 0} if step == "SplitToSequence" else {}) for step in reversed(steps)]
        value.CopyFrom(_value(name, tensor, stacked="SplitToSequence" in steps))
        for position, node in enumerate(self._chain(nodes, name, inner)):
            self._graph.node.insert(position, node)
        self._note(name, steps, wider)

    def serve_output(self, value: onnx.ValueInfoProto) -> None:
        """Have the graph return a tensor, which new nodes make of what it returned."""
        if self._serve_scores(value):
            return
        tensor, steps = _unwrap(value, "OptionalGetElement", "ConcatFromSequence")
        wider = _WIDER.get(tensor.elem_type)
        if not steps and wider is None:
            return
        name, inner = value.name, self._rename_uses(f"{value.name}_returned", value.name)
        nodes: list[tuple[str, dict[str, int]]]
        nodes = [(step, {"axis": 0, "new_axis": 1} if step == "ConcatFromSequence" else {}) for step in steps]
        nodes += [] if wider is None else [("Cast", {"to": wider})]
        value.CopyFrom(_value(name, tensor, stacked="ConcatFromSequence" in steps))
        self._graph.node.extend(self._chain(nodes, inner, name))
        self._note(name, steps, wider)

    def _serve_scores(self, value: onnx.ValueInfoProto) -> bool:
        """Return the scores that ZipMap makes maps of, if the output is a ZipMap's."""
        for node in self._graph.node:
            if node.op_type == "ZipMap" and value.name in node.output:
                scores = node.input[0]
                self._graph.node.remove(node)
                self._graph.node.append(helper.make_node("Identity", [scores], [value.name], self._fresh("scores")))
                classes = attribute(node, "classlabels_strings") or attribute(node, "classlabels_int64s")
                shape = [None, len(classes)]
                value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, shape))
                self.changes.append(f"output '{value.name}' is a tensor of scores, in place of a map for each row")
                return True
        return False

    def _rename_uses(self, base: str, name: str) -> str:
        """Give a tensor another name wherever the graph's nodes have it."""
        inner = self._fresh(base)
        _rename(self._graph, name, inner)
        return inner

    def _chain(self, steps: list[tuple[str, dict[str, int]]], first: str, last: str) -> Iterator[onnx.NodeProto]:
        tensor = first
        for position, (op_type, attributes) in enumerate(steps):
            result = last if position == len(steps) - 1 else self._fresh(f"{last}_{op_type}")
            name = stacking_node(last) if op_type == "ConcatFromSequence" else op_type
            yield helper.make_node(op_type, [tensor], [result], self._fresh(name), **attributes)
            tensor = result

    def _fresh(self, base: str) -> str:
        return fresh_name(base, self._names)

    def _note(self, name: str, steps: list[str], wider: int | None) -> None:
        if any("Sequence" in step for step in steps):
            self.changes.append(f"'{name}' is one tensor, in place of a sequence: its first axis counts the elements")
        if any("Optional" in step for step in steps):
            self.changes.append(f"'{name}' must have a value, although the graph says that it is optional")
        if wider is not None:
            self.changes.append(f"'{name}' is served as {TensorProto.DataType.Name(wider)}")


def _unwrap(value: onnx.ValueInfoProto, of_optional: str, of_sequence: str) -> tuple[onnx.TypeProto.Tensor, list[str]]:
    """The type of the tensors in a value, and the operators between them and the value: of an optional, of a sequence.

    Raises:
        GraphError: it holds something else.
    """
    kind, steps = value.type, list[str]()
    if kind.HasField("optional_type"):
        kind = kind.optional_type.elem_type
        steps.append(of_optional)
    if kind.HasField("sequence_type"):
        kind = kind.sequence_type.elem_type
        steps.append(of_sequence)
    return _tensor(value.name, kind), steps


def _tensor(name: str, kind: onnx.TypeProto) -> onnx.TypeProto.Tensor:
    if not kind.HasField("tensor_type"):
        found = (kind.WhichOneof("value") or "value of no type").removesuffix("_type")
        raise GraphError(f"'{name}' is a {found}, which is not served: only tensors, and sequences of them, are")
    return kind.tensor_type


def _value(name: str, tensor: onnx.TypeProto.Tensor, *, stacked: bool) -> onnx.ValueInfoProto:
    """A value of the tensor's type, or the wider one, with one more axis in front if it is stacked."""
    kind = _WIDER.get(tensor.elem_type, tensor.elem_type)
    if not tensor.HasField("shape"):
        return helper.make_tensor_value_info(name, kind, None)
    dims = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None for dim in tensor.shape.dim]
    return helper.make_tensor_value_info(name, kind, [f"{name}_elements", *dims] if stacked else dims)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """In nodes and their subgraphs: names are never shadowed in ONNX."""
    for node in graph.node:
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                if name == old:
                    names[position] = new
        for inner in subgraphs(node):
            _rename(inner, old, new)
            for value in inner.output:
                if value.name == old:
                    value.name = new


def _read_names(graph: onnx.GraphProto) -> Iterator[str]:
    """Names that nodes and outputs read, however deeply nested."""
    yield from (value.name for value in graph.output)
    for node in graph.node:
        yield from node.input
        for inner in subgraphs(node):
            yield from _read_names(inner)


def _takes_rows(value: onnx.ValueInfoProto) -> bool:
    """Whether the first axis of a tensor has any size."""
    dims = value.type.tensor_type.shape.dim
    return len(dims) > 0 and not dims[0].HasField("dim_value")


def _names(graph: onnx.GraphProto) -> Iterator[str]:
    yield from (value.name for value in (*graph.input, *graph.output, *graph.initializer))
    for node in graph.node:
        yield from (node.name, *node.input, *node.output)
        for inner in subgraphs(node):
            yield from _names(inner)
