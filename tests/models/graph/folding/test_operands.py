"""Layers behind products of computed tensors: what the operands take, and what shows that they cannot."""

import numpy as np
import pytest

from models.graph.editor import GraphEditor
from models.graph.fold import fold
from models.graph.folding import operands
from models.graph.folding.weighted_means import sums_to_one
from tests.models.graph.cases import CASES, Graph
from tests.models.graph.oracle import error, feeds, reference


@pytest.mark.parametrize(("case", "adds"), [("attention", 0), ("attention_flat", 0), ("attention_sigmoid", 1)])
def test_values_take_the_shift_where_weights_add_up_to_1(case: str, adds: int) -> None:
    """Elsewhere the values take the scale alone, and the shift is added."""
    folded = fold(CASES[case].model()).model

    assert [node.op_type for node in folded.graph.node].count("Add") == adds


def test_a_shift_in_values_whose_weights_do_not_add_up_to_1_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison of the test before notices what `takes_means` is there for."""
    monkeypatch.setattr(operands, "takes_means", lambda *_: True)
    source = CASES["attention_sigmoid"].model()
    (output,) = (value.name for value in source.graph.output)
    inputs = feeds(source, 3)

    assert error(*(reference(model, inputs, [output])[output] for model in (source, fold(source).model))) > 1e-3


SUMS = {
    "Softmax": (lambda g, x: g.op("Softmax", x, axis=2), 2, True),
    "Softmax along another axis": (lambda g, x: g.op("Softmax", x, axis=1), 2, False),
    "Softmax, transposed": (lambda g, x: g.op("Transpose", g.op("Softmax", x, axis=2), perm=[0, 2, 1]), 1, True),
    "Softmax of masked scores": (lambda g, x: g.op("Softmax", g.op("Add", x, g.weight(4, 4))), 2, True),
    "masked Softmax": (lambda g, x: g.op("Mul", g.op("Softmax", x), g.weight(4, 4)), 2, False),
    "Sigmoid": (lambda g, x: g.op("Sigmoid", x), 2, False),
    "Dropout of Softmax": (lambda g, x: g.op("Dropout", g.op("Softmax", x)), 2, True),
    "Reshape that keeps the lines": (
        lambda g, x: g.op("Reshape", g.op("Softmax", x), g.constant(np.array([-1, 2, 2, 4]))),
        3,
        True,
    ),
    "Reshape that parts the lines": (
        lambda g, x: g.op("Reshape", g.op("Softmax", x), g.constant(np.array([0, 8, 2]))),
        2,
        False,
    ),
    "divided by the sum": (
        lambda g, x: g.op("Div", g.op("Exp", x, name="e"), g.op("ReduceSum", "e_out", g.constant([2]))),
        2,
        True,
    ),
    "divided by another sum": (
        lambda g, x: g.op("Div", g.op("Exp", x, name="e"), g.op("ReduceSum", "e_out", g.constant([1]))),
        2,
        False,
    ),
    "constant means": (lambda g, _: g.constant(np.full((4, 5), 0.2)), 1, True),
    "constant weights": (lambda g, _: g.constant(np.full((4, 5), 0.3)), 1, False),
}


@pytest.mark.parametrize("case", SUMS)
def test_weights_add_up_to_1_exactly_where_that_is_said(case: str) -> None:
    build, axis, is_one = SUMS[case]
    graph = Graph()
    weights = build(graph, graph.input(4, 4))
    source = graph.model(graph.op("Add", weights, graph.constant(0.0)))
    (output,) = (value.name for value in source.graph.output)
    total = reference(source, feeds(source, 2), [output])[output].sum(axis=axis)

    assert bool(np.allclose(total, 1)) == is_one
    assert sums_to_one(GraphEditor(source), weights, axis) == is_one


@pytest.mark.parametrize(("scales", "kind"), [("different", "kept"), ("of one head", "folded_back")])
def test_heads_share_their_values_only_if_their_scales_are_the_same(scales: str, kind: str) -> None:
    graph = Graph()
    for key in ("bias", "running_mean"):
        graph.constant(np.full(12, 0.5), f"bn.{key}")
    graph.constant(np.ones(12), "bn.running_var")
    head = graph.random.uniform(0.5, 2, (3 if scales == "different" else 1, 4))
    graph.constant(np.broadcast_to(head, (3, 4)).reshape(12), "bn.weight")
    source = graph.model(CASES["shared_values"].build(graph))
    (layer,) = fold(source).norm_layers

    assert layer.placement.kind == kind
    assert layer.placement.proven == (kind == "kept")


@pytest.mark.parametrize(("before", "is_proven"), [("Identity", True), ("Reshape", True), ("Relu", False)])
def test_positions_of_an_input_share_their_weights(before: str, *, is_proven: bool) -> None:
    """Behind another function the same values need not occur at two positions."""
    graph = Graph()
    x = graph.input(4, 5) if before != "Reshape" else graph.input(20)
    x = graph.op(before, x, *([graph.constant(np.array([0, 4, 5]))] if before == "Reshape" else []))
    output = graph.op("Relu", graph.bn(graph.op("MatMul", x, graph.weight(5, 6)), 4))
    (layer,) = fold(graph.model(output)).norm_layers

    assert layer.placement.kind == "kept"
    assert layer.placement.proven == is_proven
    assert ("all positions share its weights" in str(layer.placement.reason)) == is_proven
