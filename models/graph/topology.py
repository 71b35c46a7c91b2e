"""The topology of a network: its layers, and where what they compute comes together, from the inputs to the outputs.

A tensor comes from the last layer before it, however many operators are in between. Where one operator reads tensors
that come from several nodes, as at the end of a residual block, there is a join. A join that only another one reads is
part of that one.
"""

from collections.abc import Iterable, Mapping, Sequence

import onnx

from models.graph.nodes import is_standard, used_tensors
from models.manifest import TopologyNode, TopologyNodeKind


def read_topology(graph: onnx.GraphProto, layers: Mapping[str, str]) -> tuple[TopologyNode, ...]:
    """The nodes, each after those that it comes from. What no layer and no output is computed from is left out.

    Args:
        graph: whose nodes are in topological order, as ONNX asks.
        layers: the tensor that each layer is read at, by name, in topological order. A layer whose tensor is not in the
            graph is left out.
    """
    reading = _Reading(layers)
    stored = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        if value.name not in stored:
            reading.place(value.name, reading.add("input", value.name, ()))
    for node in graph.node:
        # What is read of a tensor's shape alone does not depend on its values.
        if not is_standard(node, "Shape", "Size"):
            reading.read(node)
    for value in graph.output:
        reading.add("output", value.name, reading.sources([value.name]))
    return _renumbered(reading.nodes, _merged(reading.nodes))


class _Reading:
    """The nodes that were found so far, and which of them each tensor comes from."""

    def __init__(self, layers: Mapping[str, str]) -> None:
        self.nodes: list[TopologyNode] = []
        self._from: dict[str, int] = {}
        self._read_at: dict[str, list[str]] = {}
        for name, tensor in layers.items():
            self._read_at.setdefault(tensor, []).append(name)

    def add(self, kind: TopologyNodeKind, name: str, sources: Sequence[int]) -> int:
        self.nodes.append(TopologyNode(kind=kind, name=name, sources=tuple(sources)))
        return len(self.nodes) - 1

    def sources(self, tensors: Iterable[str]) -> list[int]:
        return list(dict.fromkeys(self._from[tensor] for tensor in tensors if tensor in self._from))

    def read(self, node: onnx.NodeProto) -> None:
        sources = self.sources(used_tensors(node))
        source = self.add("join", node.op_type, sources) if len(sources) > 1 else next(iter(sources), None)
        for tensor in filter(None, node.output):
            self.place(tensor, source)

    def place(self, tensor: str, source: int | None) -> None:
        for layer in self._read_at.get(tensor, ()):
            source = self.add("layer", layer, () if source is None else (source,))
        if source is not None:
            self._from[tensor] = source


def _merged(nodes: Sequence[TopologyNode]) -> dict[int, list[int]]:
    """The sources of each node that is kept."""
    users: list[list[int]] = [[] for _ in nodes]
    for at in reversed(range(len(nodes))):
        if nodes[at].kind != "join" or users[at]:
            for source in nodes[at].sources:
                users[source].append(at)
    kept: dict[int, list[int]] = {}
    inner: dict[int, list[int]] = {}
    for at, node in enumerate(nodes):
        sources = list(dict.fromkeys(part for source in node.sources for part in inner.get(source, [source])))
        if node.kind != "join" or (users[at] and not _is_inner(nodes, users[at])):
            kept[at] = sources
        else:
            inner[at] = sources
    return kept


def _is_inner(nodes: Sequence[TopologyNode], users: Sequence[int]) -> bool:
    return len(users) == 1 and nodes[users[0]].kind == "join"


def _renumbered(nodes: Sequence[TopologyNode], kept: Mapping[int, Sequence[int]]) -> tuple[TopologyNode, ...]:
    places = {at: place for place, at in enumerate(kept)}
    return tuple(
        nodes[at].model_copy(update={"sources": tuple(places[source] for source in sources)})
        for at, sources in kept.items()
    )
