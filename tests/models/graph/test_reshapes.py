"""Targets of Reshapes that are computed from the number of rows."""

import numpy as np
import pytest

from models.graph.editor import GraphEditor
from models.graph.reshapes import state_reshaped_sizes
from tests.models.graph.cases import Graph
from tests.models.graph.oracle import feeds, reference


def size(g: Graph, tensor: str, axis: int, times: int = 1) -> str:
    """A size of a tensor, multiplied, as a tensor of one axis."""
    found = g.op("Gather", g.op("Shape", tensor), g.constant(np.array(axis)), axis=0)
    return g.op("Unsqueeze", g.op("Mul", found, g.constant(np.array(times))), g.constant([0]))


def target(g: Graph, *sizes: int | str) -> str:
    return g.op("Concat", *(one if isinstance(one, str) else g.constant([one]) for one in sizes), axis=0)


@pytest.mark.parametrize(
    ("build", "stated"),
    [
        (lambda g, x: target(g, size(g, x, 0, 2), 3, -1), [-1, 3, 5]),
        (lambda g, x: target(g, size(g, x, 0), 6, 5), [-1, 6, 5]),
        (lambda g, x: target(g, 3, size(g, x, 0), -1), [3, -1, 10]),
        (lambda g, x: target(g, size(g, x, 0), size(g, x, 0), -1), None),
        (lambda g, x: target(g, size(g, x, 1), -1), None),
    ],
)
def test_a_target_with_one_free_size_becomes_a_constant(build, stated: list[int] | None) -> None:
    graph = Graph()
    x = graph.input(6, 5)
    output = graph.op("Reshape", x, build(graph, x), name="reshape")
    source = graph.model(graph.op("Identity", output))
    editor = GraphEditor(source)
    state_reshaped_sizes(editor)

    constant = editor.constant(next(node for node in editor.nodes if node.name == "reshape").input[1])
    is_constant_before = stated is None and constant is not None  # every size is a number
    assert is_constant_before or (None if constant is None else constant.tolist()) == stated
    inputs = feeds(source, 1)
    expected, actual = (reference(model, inputs, [output])[output] for model in (source, editor.finish()))
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("rest", [30, -1])
def test_what_torch_exports_for_flatten_too(rest: int) -> None:
    graph = Graph()
    x = graph.input(6, 5)
    number = graph.op("Squeeze", graph.op("Shape", x, start=0, end=1))
    rows = graph.op("Reshape", number, graph.constant([-1]))
    reshaped = graph.op("Reshape", x, target(graph, rows, rest), name="reshape", allowzero=1)
    source = graph.model(graph.op("Identity", reshaped))
    editor = GraphEditor(source)
    state_reshaped_sizes(editor)
    stated = editor.finish()

    assert [node.op_type for node in stated.graph.node] == ["Reshape", "Identity"]
    inputs = feeds(source, 1)
    expected, actual = (reference(model, inputs, [reshaped])[reshaped] for model in (source, stated))
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("sizes", [(0, -1, 3), (-2, -1, 3), (1, -1, -1), (7, -1, 3)])
def test_a_target_that_no_run_could_have_stays(sizes: tuple[int, ...]) -> None:
    """A graph that was not made by an exporter: the numbers contradict each other."""
    graph = Graph()
    x = graph.input(6, 5)
    rows = size(graph, x, 0, sizes[0])
    reshaped = graph.op("Reshape", x, target(graph, rows, *sizes[1:]), name="reshape")
    editor = GraphEditor(graph.model(graph.op("Identity", reshaped)))
    state_reshaped_sizes(editor)

    assert editor.constant(next(node for node in editor.nodes if node.name == "reshape").input[1]) is None
