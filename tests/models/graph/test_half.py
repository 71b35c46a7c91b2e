"""Weights in half precision, against numpy's rounding and ONNX's own reference."""

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from models.graph.half import store_halved
from models.graph.load import parse, serialize
from models.graph.weights import WeightFiles
from models.runtime.load import load
from models.stored_graph import SerializedGraph, StoredGraph
from tests.graphs import wide_norms

WIDTH = 32
ROWS = {"x": np.random.default_rng(1).normal(size=(20, WIDTH)).astype(np.float32)}


def stored(model: onnx.ModelProto) -> StoredGraph:
    graph = WeightFiles().store(model, "source.weights")
    assert isinstance(graph, StoredGraph)
    return graph


def halved(graph: SerializedGraph) -> tuple[StoredGraph, int]:
    found, count = store_halved(graph, WeightFiles(), "source.weights")
    assert isinstance(found, StoredGraph)
    return found, count


def tensors(model: onnx.ModelProto) -> dict[str, NDArray[np.generic]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def with_weight(value: NDArray[np.float64]) -> StoredGraph:
    """The network with another first weight."""
    model = wide_norms(WIDTH, 1)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(value.astype(np.float32), "0.weight"))
    return stored(model)


def rounded_by_numpy(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network with its matrices rounded, and nothing else: the oracle."""
    expected = onnx.ModelProto()
    expected.CopyFrom(model)
    for tensor in expected.graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.ndim == 2:
            tensor.CopyFrom(numpy_helper.from_array(value.astype(np.float16).astype(np.float32), tensor.name))
    return expected


def test_weights_take_half_the_space_and_are_rounded_as_numpy_rounds_them() -> None:
    model = wide_norms(WIDTH, 3)
    graph = stored(model)

    half, count = halved(graph)

    assert count == 3
    assert len(half.weights["source.weights"]) == len(graph.weights["source.weights"]) / 2
    found, expected = tensors(parse(half)), tensors(rounded_by_numpy(model))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, strict=True)
    # Negative control: it does round.
    assert any((found[name] != value).any() for name, value in tensors(model).items())


def test_any_runtime_computes_with_them_in_float32() -> None:
    model = wide_norms(WIDTH, 3)
    half, _ = halved(stored(model))

    (expected,) = ReferenceEvaluator(rounded_by_numpy(model)).run(None, ROWS)

    inside = onnx.ModelProto.FromString(half.model)
    for tensor in inside.graph.initializer:
        if tensor.external_data:
            place = {entry.key: entry.value for entry in tensor.external_data}
            start = int(place["offset"])
            tensor.raw_data = half.weights[place["location"]][start : start + int(place["length"])]
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
    (found,) = ReferenceEvaluator(inside).run(None, ROWS)
    np.testing.assert_array_equal(found, expected)
    for optimize in (False, True):
        served = load(half, optimize=optimize)(ROWS)["y"]
        np.testing.assert_array_equal(served, load(serialize(parse(half)), optimize=optimize)(ROWS)["y"])
        np.testing.assert_allclose(served, expected, rtol=1e-4, atol=1e-5)
    (unrounded,) = ReferenceEvaluator(model).run(None, ROWS)
    assert not np.allclose(unrounded, expected, rtol=1e-4, atol=1e-5)


def test_what_is_rounded_already_does_not_change_again() -> None:
    half, _ = halved(stored(wide_norms(WIDTH, 2)))
    again, count = halved(WeightFiles().store(parse(half), "source.weights"))
    assert count == 2
    assert again == half


def test_a_weight_that_is_too_large_stays_as_it_is() -> None:
    weight = np.ones((WIDTH, WIDTH))
    weight[3, 4] = -65504
    assert halved(with_weight(weight))[1] == 1
    weight[3, 4] = -65505
    graph = with_weight(weight)

    half, count = halved(graph)

    assert count == 0
    assert parse(half) == parse(graph)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_weight_with_a_channel_that_would_vanish_stays_as_it_is(axis: int) -> None:
    weight = np.ones((WIDTH, WIDTH))
    channel = np.moveaxis(weight, axis, 0)
    channel[5] = 0
    assert halved(with_weight(weight))[1] == 1  # it is zero before
    channel[5] = 1e-8
    graph = with_weight(weight)

    half, count = halved(graph)

    assert count == 0
    assert parse(half) == parse(graph)


def test_a_cast_of_the_network_itself_stays() -> None:
    value = helper.make_tensor_value_info
    weight = np.random.default_rng(0).normal(size=(WIDTH, WIDTH)).astype(np.float16)
    nodes = [
        helper.make_node("Cast", ["w.float16"], ["w"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["w.float16"], ["other"], to=TensorProto.DOUBLE),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("ReduceSum", ["other"], ["sum"], keepdims=0),
    ]
    outputs = [value("y", TensorProto.FLOAT, ["N", WIDTH]), value("sum", TensorProto.DOUBLE, [])]
    inputs = [value("x", TensorProto.FLOAT, ["N", WIDTH])]
    graph = helper.make_graph(nodes, "mixed", inputs, outputs, [numpy_helper.from_array(weight, "w.float16")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)

    assert parse(serialize(model)) == model
    half, count = store_halved(stored(model), WeightFiles(), "source.weights")
    assert count == 0
    assert parse(half) == model
