"""Files of every kind are imported, listed, and predicted over HTTP and gRPC as onnxruntime runs the file itself."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from models.datatypes import from_numpy, to_numpy
from models.graph.interface import serve_tensors
from models.importing.onnx import import_graph
from models.model_info import ModelInfo
from models.repository.repository import Repository
from service.grpc.messages import message_class
from tests.service.grpc.conftest import Serving, serving

Arrays = dict[str, np.ndarray]

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(3, 4)).astype(np.float32)
IMAGES = RNG.normal(size=(2, 3, 6, 6)).astype(np.float32)


def text(graph: str, opset: int = 18, **weights: np.ndarray) -> onnx.ModelProto:
    domains = f'["" : {opset}, "ai.onnx.ml" : 3]'
    model = parser.parse_model(f"<ir_version: 9, opset_import: {domains}> network {graph}")
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items())
    return model


def convnet(opset: int) -> onnx.ModelProto:
    """Conv, Relu, mean and Gemm in a version of the operators."""
    weights = {
        "w": RNG.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "h": RNG.normal(size=(4, 2)).astype(np.float32),
        "b": np.zeros(2, np.float32),
    }
    return text(
        "(float[N, 3, 6, 6] x) => (float[N, 2] y) { c = Conv(x, w) r = Relu(c) p = GlobalAveragePool(r) "
        "f = Flatten(p) y = Gemm(f, h, b) }",
        opset,
        **weights,
    )


def trees() -> onnx.ModelProto:
    """A classifier as scikit-learn's are exported: a label and scores for each row."""
    node = helper.make_node(
        "TreeEnsembleClassifier",
        ["x"],
        ["label", "scores"],
        domain="ai.onnx.ml",
        nodes_treeids=[0, 0, 0],
        nodes_nodeids=[0, 1, 2],
        nodes_featureids=[2, 0, 0],
        nodes_values=[0.1, 0.0, 0.0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_truenodeids=[1, 0, 0],
        nodes_falsenodeids=[2, 0, 0],
        nodes_missing_value_tracks_true=[0, 0, 0],
        class_treeids=[0, 0],
        class_nodeids=[1, 2],
        class_ids=[0, 1],
        class_weights=[1.0, 1.0],
        classlabels_strings=["no", "yes"],
        post_transform="NONE",
    )
    kind = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    zipped = helper.make_node("ZipMap", ["scores"], ["p"], domain="ai.onnx.ml", classlabels_strings=["no", "yes"])
    graph = helper.make_graph(
        [node, zipped],
        "trees",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
        [
            helper.make_tensor_value_info("label", TensorProto.STRING, [None]),
            helper.make_value_info("p", helper.make_sequence_type_proto(kind)),
        ],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


NEWEST = 25
"""Version of operators that onnxruntime runs."""

CASES: dict[str, tuple[onnx.ModelProto, Arrays]] = {
    **{f"opset-{opset}": (convnet(opset), {"x": IMAGES}) for opset in (9, 13, 17, NEWEST)},
    "several": (
        text(
            "(float[N, 4] x, int64[N, 2] i) => (float[N, 2] y, int64[N, 2] j) { y = GatherElements <axis = 1> (x, i) "
            "j = Neg(i) }"
        ),
        {"x": ROWS, "i": np.array([[0, 3], [1, 1], [2, 0]])},
    ),
    "words": (
        text("(string[N, 2] x) => (string[N, 2] y) { y = StringConcat(x, x) }", 20),
        {"x": np.array([["a", "é"]], object)},
    ),
    "scalar": (text("(float s) => (float y) { y = Exp(s) }"), {"s": np.array(0.5, np.float32)}),
    "fixed": (text("(float[1, 4] x) => (float[1, 4] y) { y = Softmax(x) }"), {"x": ROWS[:1]}),
    "dynamic": (text("(float[N, T] x) => (int64[2, K] y) { y = NonZero(x) }"), {"x": ROWS}),
    "half": (
        text(
            "(float16[N, 4] x) => (float16[N, 2] y) { y = MatMul(x, w) }", w=RNG.normal(size=(4, 2)).astype(np.float16)
        ),
        {"x": ROWS.astype(np.float16)},
    ),
    "quantised": (
        text(
            "(float[N, 4] x) => (float[N, 2] y) { q = QuantizeLinear(x, s, z) m = QLinearMatMul(q, s, z, w, s, z, s, z)"
            " y = DequantizeLinear(m, s, z) }",
            s=np.array(0.05, np.float32),
            z=np.array(0, np.int8),
            w=RNG.integers(-9, 9, (4, 2), np.int8),
        ),
        {"x": ROWS},
    ),
    "branch": (
        text(
            "(float[N, 4] x, bool c) => (float[N, 4] y) { y = If (c) <then_branch = a () => (float[N, 4] t) "
            "{ t = Neg(x) }, else_branch = b () => (float[N, 4] e) { e = Exp(x) }> }"
        ),
        {"x": ROWS, "c": np.array(True)},
    ),
    "loop": (
        text(
            "(int64 n, float[N, 4] x) => (float[N, 4] y) { y = Loop (n, , x) <body = b (int64 i, bool k, float[N, 4] a)"
            " => (bool again, float[N, 4] r) { again = Identity(k) r = Add(a, a) }> }"
        ),
        {"n": np.array(3), "x": ROWS},
    ),
    "channels-last": (
        text(
            "(float[N, 6, 6, 3] x) => (float[N, 4, 4, 4] y) { t = Transpose <perm = [0, 3, 1, 2]> (x) c = Conv(t, w) "
            "y = Transpose <perm = [0, 2, 3, 1]> (c) }",
            w=RNG.normal(size=(4, 3, 3, 3)).astype(np.float32),
        ),
        {"x": IMAGES.transpose(0, 2, 3, 1).copy()},
    ),
    "sequence": (
        text("(float[2, 3] x) => (seq(float[1, 3]) y) { y = SplitToSequence <axis = 0> (x) }"),
        {"x": ROWS[:2, :3]},
    ),
    "trees": (trees(), {"x": ROWS}),
}
"""A file's graph and inputs, by the name of the model."""

WITH_LINEAR_LAYERS = {"opset-9", "opset-13", "opset-17", f"opset-{NEWEST}", "half", "channels-last"}
WITHOUT_BATCH_AXIS = {"scalar", "fixed", "dynamic", "branch", "loop", "sequence"}


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    repository = Repository(tmp_path_factory.mktemp("imported") / "repository")
    for name, (model, _) in CASES.items():
        repository.publish(import_graph(model, ModelInfo(name)))
    with serving(repository, starters=False) as found:
        yield found


def expected(model: onnx.ModelProto, inputs: Arrays) -> dict[str, Any]:
    """As onnxruntime runs the file: maps as a list of their values, sequences stacked."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found = {}
    for output, value in zip(session.get_outputs(), session.run(None, inputs), strict=True):
        rows = (
            [list(row.values()) if isinstance(row, dict) else row for row in value]
            if isinstance(value, list)
            else value
        )
        found[output.name] = np.asarray(rows)
    return found


every_case = pytest.mark.parametrize("name", CASES)


@every_case
def test_a_prediction_over_http_is_that_of_the_file(imported: Serving, name: str) -> None:
    model, inputs = CASES[name]
    tensors = [
        {"name": key, "shape": value.shape, "datatype": str(from_numpy(value.dtype)), "data": value.ravel().tolist()}
        for key, value in inputs.items()
    ]

    response = imported.http.post(f"/v2/models/{name}/infer", json={"inputs": tensors})

    assert response.status_code == 200, response.text
    outputs = {output["name"]: output for output in response.json()["outputs"]}
    for key, value in expected(model, inputs).items():
        assert outputs[key]["shape"] == list(value.shape)
        data = np.array(outputs[key]["data"]).reshape(value.shape)
        if value.dtype == object:
            assert data.tolist() == value.tolist()
        else:
            np.testing.assert_allclose(data, value, rtol=1e-6 if name != "half" else 1e-3, atol=1e-7)


@every_case
def test_a_prediction_over_grpc_is_that_of_http(imported: Serving, name: str) -> None:
    _, inputs = CASES[name]
    request = message_class("ModelInferRequest")(model_name=name)
    for key, value in inputs.items():
        request.inputs.add(name=key, datatype=str(from_numpy(value.dtype)), shape=list(value.shape))
        if value.dtype == object:
            encoded = [item.encode() for item in value.ravel()]
            request.raw_input_contents.append(b"".join(len(item).to_bytes(4, "little") + item for item in encoded))
        else:
            request.raw_input_contents.append(value.tobytes())

    response = imported.grpc.call("ModelInfer", request)

    for output, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        value = expected(*CASES[name])[output.name]
        assert list(output.shape) == list(value.shape)
        if value.dtype != object:
            found = np.frombuffer(raw, to_numpy(output.datatype)).reshape(value.shape)
            np.testing.assert_allclose(found, value, rtol=1e-6 if name != "half" else 1e-3, atol=1e-7)


@every_case
def test_the_card_says_what_cannot_be_done_and_why(imported: Serving, name: str) -> None:
    card = imported.http.get(f"/v2/models/{name}/card").json()

    assert ("batching" in card["unavailable"]) == (name in WITHOUT_BATCH_AXIS)
    assert card["unavailable"]["folding"] == "the graph has no BatchNormalization node"
    assert "no BatchNormalization node" in card["unavailable"]["recalibration"] or name in WITHOUT_BATCH_AXIS
    assert ("watching" in card["unavailable"]) == (name in WITHOUT_BATCH_AXIS | {"words"})
    assert ("reference" in card["unavailable"]) == ("watching" in card["unavailable"])
    assert ("no BatchNormalization node" in " ".join(card["warnings"])) == (name in WITH_LINEAR_LAYERS)


def test_all_are_listed(imported: Serving) -> None:
    assert set(imported.http.get("/v2/models").json()["models"]) == set(CASES)


def test_what_was_changed_for_serving_is_a_warning() -> None:
    _, changes = serve_tensors(CASES["trees"][0])

    manifest = import_graph(CASES["trees"][0], ModelInfo("trees")).manifest

    assert changes
    assert set(changes) <= set(manifest.warnings)
