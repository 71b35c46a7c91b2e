"""Bundles with weights in half precision: what they record, what is refused, and what is made from them."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.assemble import assemble, signed_lineage
from models.datatypes import Arrays
from models.errors import GraphError, ParityError
from models.graph.load import parse
from models.model_info import ModelInfo
from models.quantization.version import quantize
from models.recalibration.estimate import recalibrate
from models.reference import estimate_reference
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from models.runtime.load import load
from tests.graphs import linear_norm
from tests.models.quantization import network

RUNS = (slice(0, 64), slice(64, 128))
INFO = ModelInfo("residual", preprocessing=network.PIXELS, half_weights=True)


@cache
def half_bundle() -> Bundle:
    held_out = network.bundle().held_out
    return assemble(network.source(), INFO, signed_lineage("imported"), rows=network.images(128, 2), held_out=held_out)


def linear(weight: NDArray[np.float64]) -> onnx.ModelProto:
    """`x` [N, inputs] times a weight."""
    inputs, outputs = weight.shape
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [value("x", TensorProto.FLOAT, ["N", inputs])],
        [value("y", TensorProto.FLOAT, ["N", outputs])],
        [numpy_helper.from_array(weight.astype(np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def assemble_linear(weight: NDArray[np.float64], rows: NDArray[np.float64] | None = None, *, half: bool) -> Bundle:
    return assemble(
        linear(weight),
        ModelInfo("linear", half_weights=half),
        signed_lineage("imported"),
        rows=None if rows is None else {"x": rows.astype(np.float32)},
        allow_unfolded=True,
    )


def weight_bytes(bundle: Bundle) -> int:
    graphs = [graph for graph in (bundle.source, bundle.folded, bundle.observed) if graph is not None]
    return sum({name: len(data) for graph in graphs for name, data in graph.weights.items()}.values())  # type: ignore[union-attr]


def scores(bundle: Bundle, rows: Arrays) -> NDArray[np.generic]:
    return load(bundle.folded, optimize=True)(rows)[bundle.manifest.outputs[0].name]


def test_a_bundle_keeps_half_the_bytes_and_records_what_that_changes(tmp_path: Path) -> None:
    full, half = network.bundle(), half_bundle()

    version = Repository(tmp_path).publish(half)

    read = Repository(tmp_path).read("residual", version)
    assert read.manifest == half.manifest
    assert weight_bytes(read) == weight_bytes(half) < 0.55 * weight_bytes(full)
    rows = network.images(128, 2)
    expected, found = (scores(bundle, rows) for bundle in (full, read))
    record = read.manifest.half_weights
    assert record is not None
    assert (record.weights, record.rows, record.agreement) == (2, 128, 1.0)
    assert record.max_absolute == np.abs(found.astype(np.float64) - expected).max() > 0
    relative = [np.abs(found[part] - expected[part]).max() / np.abs(expected[part]).max() for part in RUNS]
    assert record.max_relative == pytest.approx(max(relative))
    assert full.manifest.half_weights is None
    assert b"half_weights" not in full.manifest.model_dump_json(exclude_none=True).encode()


def test_the_statistics_stay_as_they_are_and_the_thresholds_are_of_the_rounded_weights() -> None:
    full, half = network.bundle().manifest, half_bundle().manifest
    assert half.norm_layers == full.norm_layers
    source = {tensor.name: numpy_helper.to_array(tensor) for tensor in parse(half_bundle().source).graph.initializer}
    for tensor in network.source().graph.initializer:
        if len(tensor.dims) == 1:
            np.testing.assert_array_equal(source[tensor.name], numpy_helper.to_array(tensor))
    rows = network.images(128, 2)
    assert half.drift == estimate_reference(half_bundle().observed, half.layers, half.outputs[0], rows).drift
    assert half.drift != full.drift


def test_a_network_whose_classes_change_is_refused() -> None:
    # Two classes that differ by half of a unit in the last place: rounded, they are equal.
    weight = np.ones((128, 2))
    weight[:, 1] += 2.0**-12
    rows = np.random.default_rng(0).normal(size=(100, 128))
    expected = int(np.count_nonzero(rows.sum(axis=1) > 0))

    assert assemble_linear(weight, rows, half=False).manifest.half_weights is None
    with pytest.raises(ParityError, match=rf"the class of {expected} of 100 rows \(at most 1 may change\)"):
        assemble_linear(weight, rows, half=True)
    weight[:, 1] = 2  # control: nothing is rounded
    record = assemble_linear(weight, rows, half=True).manifest.half_weights
    assert record is not None
    assert (record.agreement, record.max_absolute) == (1.0, 0.0)


def test_a_network_without_classes_is_refused_where_its_output_changes() -> None:
    weight = np.ones((16, 16, 1)).repeat(2, axis=2).reshape(16, 32) + 0.0
    weight[1] = -1 - 2.0**-12  # x is equal in both rows of the weight, which cancel
    model = linear(weight)
    model.graph.node[0].output[0] = "product"
    model.graph.node.append(helper.make_node("ReduceMax", ["product"], ["y"], axes=[1]))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 1
    model.opset_import[0].version = 13
    rows = np.zeros((100, 16))
    rows[:, :2] = np.random.default_rng(0).normal(size=(100, 1))

    with pytest.raises(ParityError, match=r"'y' by .*, which is 1 of its largest value \(0\.01 is allowed\)"):
        assemble(
            model,
            ModelInfo("linear", half_weights=True),
            signed_lineage("imported"),
            rows={"x": rows.astype(np.float32)},
            allow_unfolded=True,
        )


def test_a_network_without_large_weights_is_refused() -> None:
    info = ModelInfo("tiny", half_weights=True)
    with pytest.raises(GraphError, match="half precision saves nothing"):
        assemble(linear_norm(), info, signed_lineage("imported"))


def test_random_rows_are_compared_where_none_are_given() -> None:
    record = assemble_linear(2.0 * np.eye(64), half=True).manifest.half_weights
    assert record is not None
    assert (record.rows, record.max_relative) == (256, 0)


def test_a_version_is_recalibrated_into_float32_and_quantised_beside_its_source() -> None:
    parent = half_bundle()

    made = recalibrate(parent, 1, network.images(128, 5), with_accuracy=False).bundle

    assert made.manifest.half_weights is None
    assert weight_bytes(made) > 1.8 * weight_bytes(parent)
    rows = network.images(8, 7)
    usual = recalibrate(network.bundle(), 1, network.images(128, 5), with_accuracy=False).bundle
    expected, found = (scores(bundle, rows) for bundle in (usual, made))
    np.testing.assert_allclose(found, expected, atol=1e-2 * np.abs(expected).max())

    quantised = quantize(parent, 1).bundle
    assert quantised.source is parent.source
    assert quantised.manifest.half_weights == parent.manifest.half_weights
    assert replace(quantised, manifest=parent.manifest, folded=parent.folded) == parent
