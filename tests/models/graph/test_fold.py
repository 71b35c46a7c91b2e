"""Folding keeps the function, empties the graph of layers, and leaves each layer's output readable."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from models.graph.find import find
from models.graph.fold import Folded, fold
from models.graph.load import parse, serialize
from models.manifest import Placement
from tests.models.graph.cases import CASES, Case, Graph
from tests.models.graph.oracle import Array, error, feeds, reference, runtime

EXACT = 1e-10
SINGLE = 1e-5
Run = Callable[[onnx.ModelProto, Mapping[str, Array], Sequence[str]], dict[str, Array]]

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def layer_output(placement: Placement, tensors: Mapping[str, Array]) -> Array:
    """The layer's output, as a reader of the manifest computes it."""
    value = tensors[placement.tensor].astype(np.float64)
    if placement.scale is None:
        return value
    shape = [1] * value.ndim
    shape[placement.axis] = -1
    return np.reshape(placement.scale, shape) * value + np.reshape(placement.shift, shape)


def worst_error(source: onnx.ModelProto, folded: Folded, run: Run, oracle: onnx.ModelProto, rows: int) -> float:
    """Over the outputs of the graph and those of every layer, the folded graph against the oracle's source graph."""
    given = feeds(source, rows)
    outputs = [value.name for value in source.graph.output]
    layers = find(source)
    expected = reference(oracle, given, outputs + [layer.output for layer in layers])
    placements = [layer.placement for layer in folded.norm_layers]
    actual = run(folded.model, given, outputs + [placement.tensor for placement in placements])
    errors = [error(expected[name], actual[name]) for name in outputs]
    for layer, placement in zip(layers, placements, strict=True):
        errors.append(error(expected[layer.output], layer_output(placement, actual)))
    return max(errors)


@every_case
def test_the_folded_graph_computes_the_same_in_float64(case: Case) -> None:
    source = case.model()
    folded = fold(source)

    for rows in (1, 3, 17):
        assert worst_error(source, folded, reference, source, rows) < EXACT


@every_case
def test_the_folded_graph_computes_the_same_in_float32(case: Case) -> None:
    source = case.model(np.float32)

    assert worst_error(source, fold(source), runtime, case.model(), 3) < SINGLE


@every_case
def test_no_layer_is_left_and_each_says_where_it_went(case: Case) -> None:
    source = case.model()
    before = serialize(source)
    folded = fold(source)

    assert serialize(source) == before
    assert not [node for node in folded.model.graph.node if node.op_type == "BatchNormalization"]
    assert case.kinds == tuple(layer.placement.kind for layer in folded.norm_layers)
    assert list(source.graph.input) == list(folded.model.graph.input)
    assert list(source.graph.output) == list(folded.model.graph.output)
    onnx.checker.check_model(folded.model, full_check=True)
    used = {name for node in folded.model.graph.node for name in node.input}
    assert {tensor.name for tensor in folded.model.graph.initializer} <= used
    names = {node.name for node in folded.model.graph.node}
    for layer in folded.norm_layers:
        assert names.issuperset(layer.placement.into)
        assert bool(layer.placement.into) == (layer.placement.kind != "kept")
    reasons = [layer.placement.reason for layer in folded.norm_layers if layer.placement.reason]
    assert case.reason in "".join(reasons[:1])
    assert bool(case.reason) == bool(reasons)
