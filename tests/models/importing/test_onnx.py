"""Anybody's ONNX file -> bundle."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from models.errors import GraphError, InvalidInput, ParityError, TrainingModeGraph
from models.graph.load import serialize
from models.importing.onnx import import_graph, read
from models.importing.trained import TrainedParameters
from models.model_info import ModelInfo
from models.repository.bundle import Bundle
from models.runtime.engine import Engine
from models.runtime.load import load
from tests.graphs import linear_norm
from tests.models.importing.trained_network import Graph, layer, scale_shift, trained, weight

THEIRS = ModelInfo("theirs")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "network.onnx"


def imported(model: onnx.ModelProto, file: Path, tolerance: float = 1e-5) -> Bundle:
    file.write_bytes(serialize(model))
    graph, weights = read(file)
    return import_graph(graph, THEIRS, tolerance=tolerance, weights=weights)


def test_a_file_with_a_normalisation_layer_becomes_a_bundle(file: Path) -> None:
    file.write_bytes(serialize(linear_norm()))

    graph, weights = read(file)
    bundle = import_graph(graph, ModelInfo("theirs", labels=["a", "b", "c"]), weights=weights)

    manifest = bundle.manifest
    assert (manifest.model, manifest.labels, manifest.scores) == ("theirs", ("a", "b", "c"), "logits")
    assert manifest.lineage.origin == "imported"
    assert manifest.training is None
    assert manifest.drift is None
    assert bundle.held_out is None
    assert [spec.shape for spec in (*manifest.inputs, *manifest.outputs)] == [(-1, 4), (-1, 3)]
    assert manifest.norm_layers[0].placement.kind == "folded_back"
    assert "BatchNormalization" in {node.op_type for node in onnx.load_from_string(bundle.source).graph.node}
    assert "BatchNormalization" not in {node.op_type for node in onnx.load_from_string(bundle.folded).graph.node}


@pytest.mark.parametrize(
    ("takes", "gives", "datatypes"),
    [
        ("bfloat16", "bfloat16", ["BF16", "BF16"]),
        ("string", "float", ["BYTES", "FP32"]),
        ("double", "float16", ["FP64", "FP16"]),
    ],
)
def test_inputs_and_outputs_may_be_of_any_type(file: Path, takes: str, gives: str, datatypes: list[str]) -> None:
    manifest = imported(linear_norm(takes=takes, gives=gives), file, tolerance=1e-2).manifest

    assert [spec.datatype for spec in (*manifest.inputs, *manifest.outputs)] == datatypes
    assert manifest.norm_layers[0].placement.kind == "folded_back"


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (linear_norm("training_mode = 1", outputs="y, new_mean, new_var"), TrainingModeGraph, "training mode"),
    ],
)
def test_a_file_that_cannot_be_served_is_refused_with_the_reason(
    file: Path, model: onnx.ModelProto, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        imported(model, file)


@pytest.mark.parametrize(
    ("model", "limited"),
    [
        (linear_norm(statistics=False), {"folding", "recalibration"}),
        (linear_norm(batch="1"), {"batching"}),
    ],
)
def test_a_file_that_cannot_be_folded_or_batched_is_imported_without(
    file: Path, model: onnx.ModelProto, limited: set[str]
) -> None:
    bundle = imported(model, file)

    assert set(bundle.manifest.limits) >= limited
    assert not bundle.manifest.warnings
    assert bundle.observed is None


def test_a_file_without_normalisation_layers_is_imported_with_advice(file: Path) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 18]> network (float[N, 2] x) => (float[N, 2] y) '
        "<float[2, 2] w = {1, 2, 3, 4}> { y = MatMul(x, w) }"
    )

    manifest = imported(model, file).manifest

    assert manifest.is_batchable
    assert manifest.limits["recalibration"] == "the graph has no BatchNormalization node"
    assert "no BatchNormalization node" in manifest.warnings[0]
    model.producer_name = "skl2onnx"  # whose networks have no such layers
    assert imported(model, file).manifest.warnings == ()


def positive_inputs(operator: str) -> onnx.ModelProto:
    """A layer behind a logarithm or a root of the input."""
    return onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 18]> network (float[N, 3] x) => (float[N, 2] y) '
        "<float[3, 2] w = {1, 2, 3, 4, 5, 6}, float[2] gamma = {1, -2}, float[2] beta = {0.5, 1}, "
        f"float[2] mean = {{2, -1}}, float[2] var = {{4, 0.25}}> {{ z = {operator}(x) m = MatMul(z, w) "
        "y = BatchNormalization(m, gamma, beta, mean, var) }"
    )


@pytest.mark.parametrize(("operator", "function"), [("Log", np.log), ("Sqrt", np.sqrt)])
def test_a_network_of_positive_inputs_is_folded_watched_and_compared(
    file: Path, operator: str, function: np.ufunc
) -> None:
    """Random rows of any sign make all of its outputs NaN."""
    bundle = imported(positive_inputs(operator), file)

    manifest = bundle.manifest
    assert (manifest.is_batchable, dict(manifest.limits), bundle.observed is None) == (True, {}, False)
    assert (manifest.norm_layers[0].placement.kind, manifest.parity.skipped) == ("folded_back", None)
    x = np.random.default_rng(0).uniform(0.1, 5, (6, 3)).astype(np.float32)
    m = function(x.astype(np.float64)) @ np.arange(1, 7).reshape(3, 2)
    expected = (m - [2, -1]) / np.sqrt(np.array([4, 0.25]) + 1e-5) * [1, -2] + [0.5, 1]
    np.testing.assert_allclose(load(bundle.folded, optimize=True)({"x": x})["y"], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("first", "is_served"), [("x", True), ("w", False)])
def test_a_sequence_is_served_as_one_tensor_if_its_elements_have_one_shape(
    file: Path, first: str, is_served: bool
) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 18]> network (float[N, 4] x) => (seq(float[M, K]) parts) '
        f"<float[1, 3] w = {{1, 2, 3}}> {{ y = Neg(x) parts = SequenceConstruct({first}, y) }}"
    )

    if is_served:
        assert [spec.shape for spec in imported(model, file).manifest.outputs] == [(-1, -1, -1)]
        return
    with pytest.raises(GraphError, match="output 'parts' is a sequence of tensors of different shapes"):
        imported(model, file)


def test_a_sequence_whose_shapes_depend_on_the_values_is_refused_where_they_differ(file: Path) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 18]> network (float[N, 4] x) => (seq(float[M, 4]) parts) '
        "<float most = {100}, int64[1] axis = {1}> { sums = ReduceSum<keepdims = 0>(x, axis) few = Less(sums, most) "
        "kept = Compress<axis = 0>(x, few) parts = SequenceConstruct(x, kept) }"
    )
    bundle = imported(model, file)
    engine = Engine(bundle.folded, bundle.manifest.inputs, batched=bundle.manifest.is_batchable)
    small = np.ones((2, 4), np.float32)

    np.testing.assert_array_equal(engine.run({"x": small})["parts"], np.stack([small, small]))
    with pytest.raises(InvalidInput, match="output 'parts' is a sequence of tensors, which are of different shapes"):
        engine.run({"x": np.array([[1], [100]], np.float32) * small})


def recurrent(batch: str) -> onnx.ModelProto:
    """A layer beside a recurrent state, whose second axis is the batch."""
    return onnx.parser.parse_model(
        f'<ir_version: 9, opset_import: ["" : 18]> network (float[N, 3] x, float[1, {batch}, 2] h) => (float[N, 2] y) '
        "<float[3, 2] w = {1, 2, 3, 4, 5, 6}, float[2] gamma = {1, -2}, float[2] beta = {0.5, 1}, int64[1] zero = {0}, "
        "float[2] mean = {2, -1}, float[2] var = {4, 0.25}> { m = MatMul(x, w) "
        "b = BatchNormalization(m, gamma, beta, mean, var) s = Squeeze(h, zero) y = Add(b, s) }"
    )


def test_a_network_whose_state_has_the_batch_on_another_axis_is_folded_and_compared(file: Path) -> None:
    """Only random inputs of one batch can be run."""
    bundle = imported(recurrent("N"), file)

    manifest = bundle.manifest
    assert (manifest.norm_layers[0].placement.kind, manifest.parity.skipped) == ("folded_back", None)
    assert (set(manifest.limits), manifest.inputs[1].batch_axes) == ({"batching"}, (1,))
    generator = np.random.default_rng(0)
    x, h = (generator.normal(size=size).astype(np.float32) for size in ((6, 3), (1, 6, 2)))
    m = x.astype(np.float64) @ np.arange(1, 7).reshape(3, 2)
    expected = (m - [2, -1]) / np.sqrt(np.array([4, 0.25]) + 1e-5) * [1, -2] + [0.5, 1] + h[0]
    np.testing.assert_allclose(
        load(bundle.folded, optimize=True)({"x": x, "h": h})["y"], expected, rtol=1e-5, atol=1e-5
    )
    assert "folding" in imported(recurrent("M"), file).manifest.limits


def test_a_network_that_draws_at_random_is_served_as_it_is(file: Path) -> None:
    model = linear_norm()
    name = model.graph.node[0].input[0]
    noise = onnx.helper.make_node("RandomNormalLike", [name], ["noise"], "noise")
    moved = onnx.helper.make_node("Add", [name, "noise"], ["moved"], "move")
    model.graph.node[0].input[0] = "moved"
    for node in (moved, noise):
        model.graph.node.insert(0, node)

    manifest = imported(model, file).manifest

    problem = "its outputs for the same inputs differ from run to run (RandomNormalLike)"
    assert manifest.limits["folding"] == f"a folded graph could not be compared with its source: {problem}"
    assert (manifest.norm_layers, manifest.parity.skipped) == ((), problem)


@pytest.mark.parametrize("data", [b"", b"not a graph"])
def test_a_file_that_is_not_onnx_is_refused(file: Path, data: bytes) -> None:
    file.write_bytes(data)

    with pytest.raises(GraphError):
        read(file)


def test_a_missing_file_is_said_to_be_missing(file: Path) -> None:
    with pytest.raises(InvalidInput, match="no file"):
        read(file)
    with pytest.raises(InvalidInput, match="is a folder: name the ONNX file in it"):
        read(file.parent)


def test_the_tolerance_bounds_the_difference_and_is_recorded(file: Path) -> None:
    assert imported(linear_norm(), file, tolerance=1e-3).manifest.parity.tolerance == 1e-3
    with pytest.raises(ParityError):
        imported(linear_norm(), file, tolerance=1e-12)


def test_held_out_rows_set_thresholds_and_are_kept() -> None:
    rows = {"x": np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)}

    bundle = import_graph(linear_norm(), THEIRS, rows)

    drift = bundle.manifest.drift
    assert drift is not None
    assert (drift.rows, drift.windows) == (300, (1, 16, 64))
    assert drift.layers.keys() == {layer.name for layer in bundle.manifest.norm_layers}
    assert drift.classes is not None
    assert sum(drift.classes.counts) == 300
    assert bundle.held_out is not None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            np.zeros((300, 5), np.float32),
            r"reference: 'x' takes FP32 of shape \[-1, 4\], got float32 of shape \[300, 5\]",
        ),
        (np.zeros((300, 4), complex), "reference: 'x' takes FP32 .* got complex128"),
        (np.full((300, 4), np.inf, np.float32), "reference: 'x' has a value that is not finite"),
        (np.zeros((63, 4), np.float32), "reference: got 63 rows, thresholds need at least 64"),
    ],
    ids=["shape", "type", "infinite", "few"],
)
def test_held_out_rows_that_are_not_the_models_are_refused(rows: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        import_graph(linear_norm(), THEIRS, {"x": rows})
    with pytest.raises(InvalidInput, match="reference: the model's inputs are x"):
        import_graph(linear_norm(), THEIRS, {"y": rows})


def merged_file() -> tuple[onnx.ModelProto, TrainedParameters]:
    """A convolution that a layer was merged into, as torch writes it by default, and the network's parameters."""
    bn, kernel = layer("bn", 4, seed=1), weight(4, 3, 3, 3)
    scale, shift = scale_shift(bn)
    graph = Graph((3, 6, 6)).op("Conv", kernel * scale[:, None, None, None], shift, name="node_Conv_1")
    model = graph.op("Relu").model("pytorch")
    model.graph.node[0].metadata_props.add(key="pkg.onnxscript.rewriter.rule_name", value="FuseBatchNormIntoConv")
    model.graph.node[0].metadata_props.add(key="pkg.torch.onnx.name_scopes", value="['', 'bn', 'batch_norm']")
    return model, trained(bn, weight=kernel)


def test_a_file_that_has_lost_layers_is_imported_with_all_that_is_wrong_and_what_to_do() -> None:
    model, _ = merged_file()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1

    manifest = import_graph(model, THEIRS).manifest

    for part in ("bn in Conv 'node_Conv_1'", "number of rows is fixed", "optimize=False", "--state-dict", "publish("):
        assert part in manifest.warnings[0]
    assert "re-calibrating those that are left would be wrong" in manifest.limits["recalibration"]


def test_lost_layers_are_put_back_by_the_state_dict() -> None:
    model, parameters = merged_file()

    bundle = import_graph(model, THEIRS, trained=parameters)

    assert [layer.name for layer in bundle.manifest.norm_layers] == ["bn"]
    assert not bundle.manifest.warnings


def test_a_state_dict_of_another_network_is_refused() -> None:
    model, parameters = merged_file()

    with pytest.raises(GraphError, match=r"no layer of net.safetensors is in the graph"):
        import_graph(model, THEIRS, trained=trained(layer("bn", 4, seed=7), weight=parameters.weights[0].value))


def test_a_layer_that_stays_lost_is_named() -> None:
    model, parameters = merged_file()

    with pytest.raises(GraphError, match="not in the file: lost"):
        import_graph(model, THEIRS, trained=replace(parameters, layers=(*parameters.layers, layer("lost", 4, seed=7))))


INSIDE_A_BRANCH = """
    <ir_version: 9, opset_import: ["" : 18]> network (float[N, 3] x, bool c) => (float[N, 3] y)
    <float[3] one = {1, 2, 3}, float[3] zero = {0, 1, 0}, float[3, 3] weight = {1, 2, 3, 4, 5, 6, 7, 8, 9}> {
        z = Gemm (x, weight)
        y = If (c) <
            then_branch = a () => (float[N, 3] t) { t = BatchNormalization (z, one, zero, zero, one) },
            else_branch = b () => (float[N, 3] e) { e = Neg(z) }
        >
    }
"""


def test_a_layer_that_is_out_of_reach_stays_as_it_is(file: Path) -> None:
    bundle = imported(onnx.parser.parse_model(INSIDE_A_BRANCH), file)

    assert "inside If" in bundle.manifest.limits["folding"]
    assert bundle.folded == bundle.source
    assert bundle.manifest.norm_layers == ()
    assert bundle.manifest.warnings == ()  # the layer is there: it was not merged into the Gemm
    assert bundle.manifest.parity.comparisons
