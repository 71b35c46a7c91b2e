"""The topology of graphs: written by hand, and compared with a search for paths."""

from collections.abc import Callable

import onnx
import pytest

from models.graph.find import find
from models.graph.topology import read_topology
from models.manifest import TopologyNode
from tests.models.graph.cases import CASES, Graph

Build = Callable[[Graph], str]


def topology_of(build: Build, others: tuple[str, ...] = ()) -> tuple[TopologyNode, ...]:
    graph = Graph()
    model = graph.model(build(graph))
    return read_topology(model.graph, {layer.name: layer.output for layer in find(model)} | {at: at for at in others})


def written(nodes: tuple[TopologyNode, ...]) -> list[tuple[str, str, list[str]]]:
    return [(node.kind, node.name, [nodes[source].name for source in node.sources]) for node in nodes]


def two_blocks(g: Graph) -> str:
    """Two residual blocks, the first with a layer on its shortcut."""
    x = g.bn(g.conv(g.input(3, 5, 5), 3, 4), 4, "stem")
    for block, has_layer in enumerate((True, False)):
        inner = g.op("Relu", g.bn(g.conv(x, 4, 4, pads=[1, 1, 1, 1]), 4, f"{block}.inner"))
        shortcut = g.bn(g.conv(x, 4, 4, 1), 4, f"{block}.shortcut") if has_layer else x
        outer = g.bn(g.conv(inner, 4, 4, pads=[1, 1, 1, 1]), 4, f"{block}.outer")
        x = g.op("Relu", g.op("Add", outer, shortcut))
    return g.op("GlobalAveragePool", x, name="y")


def test_shortcuts_join_at_the_end_of_their_blocks() -> None:
    nodes = topology_of(two_blocks)

    assert written(nodes) == [
        ("input", "x", []),
        ("layer", "stem", ["x"]),
        ("layer", "0.inner", ["stem"]),
        ("layer", "0.shortcut", ["stem"]),
        ("layer", "0.outer", ["0.inner"]),
        ("join", "Add", ["0.outer", "0.shortcut"]),
        ("layer", "1.inner", ["Add"]),
        ("layer", "1.outer", ["1.inner"]),
        ("join", "Add", ["1.outer", "Add"]),
        ("output", "y_out", ["Add"]),
    ]
    assert nodes[8].sources == (7, 5)


def test_a_sum_of_three_is_one_join() -> None:
    def build(g: Graph) -> str:
        x = g.input(3, 5, 5)
        a, b, c = (g.bn(g.conv(x, 3, 4), 4, name) for name in "abc")
        return g.op("Concat", g.op("Add", a, b), c, name="y", axis=1)

    assert written(topology_of(build))[-2:] == [
        ("join", "Concat", ["a", "b", "c"]),
        ("output", "y_out", ["Concat"]),
    ]


def test_a_gate_of_the_layer_itself_is_no_join_and_neither_is_a_shape_of_another() -> None:
    def build(g: Graph) -> str:
        x = g.input(3, 5, 5)
        first = g.bn(g.conv(x, 3, 4), 4, "first")
        gated = g.op("Mul", first, g.op("Sigmoid", g.op("GlobalAveragePool", first)))
        rows = g.op("Gather", g.op("Shape", x), g.constant([0]), axis=0)
        return g.op("Reshape", gated, g.op("Concat", rows, g.constant([-1]), axis=0), name="y")

    assert [node[:2] for node in written(topology_of(build))] == [
        ("input", "x"),
        ("layer", "first"),
        ("output", "y_out"),
    ]


def test_what_nothing_is_computed_from_is_left_out() -> None:
    def build(g: Graph) -> str:
        x, y = g.input(3, 5, 5), g.input(3, 5, 5, name="y")
        g.op("Add", x, y)
        return g.bn(g.conv(x, 3, 4), 4)

    assert [node[0] for node in written(topology_of(build))] == ["input", "input", "layer", "output"]


def test_layers_may_be_read_at_an_input_and_at_one_tensor() -> None:
    nodes = topology_of(lambda g: g.op("Relu", g.input(3), name="y"), others=("x",))
    assert written(nodes) == [("input", "x", []), ("layer", "x", ["x"]), ("output", "y_out", ["x"])]

    model = Graph()
    graph = model.model(model.op("Relu", model.input(3), name="y")).graph
    nodes = read_topology(graph, {"first": "y_out", "second": "y_out", "elsewhere": "none"})
    assert written(nodes)[1:] == [
        ("layer", "first", ["x"]),
        ("layer", "second", ["first"]),
        ("output", "y_out", ["second"]),
    ]


def nearest(nodes: tuple[TopologyNode, ...], at: int) -> set[str]:
    """Layers before a node, through joins."""
    found: set[str] = set()
    for source in nodes[at].sources:
        found |= {nodes[source].name} if nodes[source].kind == "layer" else nearest(nodes, source)
    return found


def searched(graph: onnx.GraphProto, layers: dict[str, str], tensor: str) -> set[str]:
    """Layers that a path leads from to a tensor, with no other layer on it."""
    names = {output: name for name, output in layers.items()}
    producers = {output: node for node in graph.node for output in node.output}
    found: set[str] = set()
    pending, seen = list(producers[tensor].input), set()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in names:
            found.add(names[name])
        elif name in producers and producers[name].op_type != "Shape":
            pending += producers[name].input
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_layers_before_each_layer_are_those_that_a_path_leads_from(name: str) -> None:
    model = CASES[name].model()
    layers = {layer.name: layer.output for layer in find(model)}
    nodes = read_topology(model.graph, layers)

    places = {node.name: at for at, node in enumerate(nodes) if node.kind == "layer"}
    assert places.keys() == layers.keys()
    assert {layer: nearest(nodes, at) for layer, at in places.items()} == {
        layer: searched(model.graph, layers, tensor) for layer, tensor in layers.items()
    }
