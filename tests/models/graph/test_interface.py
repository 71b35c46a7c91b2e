"""Graphs get inputs and outputs that can be served, and compute what they did. The oracle is onnxruntime."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from models.errors import GraphError
from models.graph.interface import serve_tensors
from models.graph.load import serialize
from tests.graphs import linear_norm

X, Y = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones((2, 3), np.float32)


def model(graph: str, opset: int = 18) -> onnx.ModelProto:
    return parser.parse_model(f'<ir_version: 9, opset_import: ["" : {opset}]> network {graph}')


def run(graph: onnx.ModelProto, inputs: dict[str, Any]) -> dict[str, Any]:
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def test_a_graph_of_tensors_stays_as_it_is() -> None:
    given = linear_norm()

    served, changes = serve_tensors(given)

    assert serialize(served) == serialize(given)
    assert changes == ()


def test_a_sequence_is_one_tensor_of_its_elements() -> None:
    given = model(
        "(seq(float[2, 3]) x) => (seq(float[2, 3]) y, float[2, 3] first) "
        "{ i = Constant <value_int = 0> () first = SequenceAt(x, i) y = SequenceInsert(x, first) }"
    )

    served, changes = serve_tensors(given)

    expected, found = run(given, {"x": [X, Y]}), run(served, {"x": np.stack([X, Y])})
    np.testing.assert_array_equal(found["y"], np.stack(expected["y"]))
    np.testing.assert_array_equal(found["first"], X)
    assert [value.name for value in (*served.graph.input, *served.graph.output)] == ["x", "y", "first"]
    assert [change.split(" is ")[0] for change in changes] == ["'x'", "'y'"]


def test_a_sequence_that_a_subgraph_reads_is_renamed_there() -> None:
    given = model(
        "(seq(float[2, 3]) x, bool c) => (float[2, 3] y) { y = If (c) <"
        "then_branch = a () => (float[2, 3] t) { i = Constant <value_int = 0> () t = SequenceAt(x, i) }, "
        "else_branch = b () => (float[2, 3] e) { j = Constant <value_int = 1> () e = SequenceAt(x, j) }> }"
    )

    served, _ = serve_tensors(given)

    for chosen, expected in ((True, X), (False, Y)):
        found = run(served, {"x": np.stack([X, Y]), "c": np.array(chosen)})
        np.testing.assert_array_equal(found["y"], expected)


def test_an_optional_value_must_be_given() -> None:
    kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [2, 3]))
    graph = helper.make_graph(
        [helper.make_node("OptionalGetElement", ["x"], ["t"]), helper.make_node("Neg", ["t"], ["y"])],
        "optional",
        [helper.make_value_info("x", kind)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])],
    )
    given = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)

    served, changes = serve_tensors(given)

    np.testing.assert_array_equal(run(served, {"x": X})["y"], -X)
    assert "must have a value" in changes[0]


def test_types_that_the_protocol_does_not_have_are_cast() -> None:
    given = model("(float8e4m3fn[N, 3] x) => (float8e4m3fn[N, 3] y) { y = Identity(x) }", 19)

    served, changes = serve_tensors(given)

    np.testing.assert_array_equal(run(served, {"x": X})["y"], X)  # small whole numbers are exact
    assert changes == ("'x' is served as FLOAT", "'y' is served as FLOAT")


def test_a_map_for_each_row_is_a_tensor_of_scores() -> None:
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 3])
    kind = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    graph = helper.make_graph(
        [
            helper.make_node("Softmax", ["scores"], ["p"]),
            helper.make_node("ZipMap", ["p"], ["probabilities"], domain="ai.onnx.ml", classlabels_int64s=[3, 5, 7]),
        ],
        "classifier",
        [scores],
        [helper.make_value_info("probabilities", helper.make_sequence_type_proto(kind))],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    given = helper.make_model(graph, opset_imports=opsets, ir_version=9)

    served, changes = serve_tensors(given)

    expected = run(given, {"scores": X})["probabilities"]
    np.testing.assert_array_equal(run(served, {"scores": X})["probabilities"], [list(row.values()) for row in expected])
    assert "in place of a map" in changes[0]


@pytest.mark.parametrize(
    ("unused", "used", "is_dropped"),
    [
        ("float[1, 3]", "float[n, 3]", True),
        ("float[n, 3]", "float[n, 3]", False),
        ("float[1, 3]", "float[2, 3]", False),
    ],
)
def test_constants_that_an_exporter_left_among_the_inputs_are_dropped(
    unused: str, used: str, *, is_dropped: bool
) -> None:
    """As tf2onnx leaves mean and variance of Keras' Normalization: fixed inputs beside rows, which nothing reads."""
    given = model(f"({used} x, {unused} left) => ({used} y) {{ y = Relu(x) }}")

    served, changes = serve_tensors(given)

    assert [value.name for value in served.graph.input] == (["x"] if is_dropped else ["x", "left"])
    assert changes == (("'left' is no input any more: nothing reads it",) if is_dropped else ())
    if is_dropped:
        np.testing.assert_array_equal(run(served, {"x": X})["y"], run(given, {"x": X, "left": X[:1]})["y"])


def test_inputs_that_have_a_value_are_constants() -> None:
    given = linear_norm()
    for tensor in given.graph.initializer:  # as files of onnx before 1.5 have them
        given.graph.input.append(helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, tensor.dims))
    given.ir_version = 3

    served, _ = serve_tensors(given)

    assert [value.name for value in served.graph.input] == ["x"]
    assert served.ir_version >= 4
    assert len(given.graph.input) == 7


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("() => (float y) { y = Constant <value_float = 1.0> () }", "no inputs"),
        ("(float[] x) => (float y) { y = ReduceSum(x) }", "input 'x' states no shape"),
    ],
)
def test_a_graph_that_cannot_be_served_is_refused(given: str, message: str) -> None:
    graph = model(given)
    for value in graph.graph.input:
        value.type.tensor_type.ClearField("shape")

    with pytest.raises(GraphError, match=message):
        serve_tensors(graph)


def test_a_batch_of_no_rows_is_refused() -> None:
    with pytest.raises(GraphError, match="input 'x' states a batch of size 0"):
        serve_tensors(model("(float[0, 3] x) => (float[0, 3] y) { y = Neg(x) }"))


def test_a_map_that_nothing_can_be_made_of_is_refused() -> None:
    graph = model("(float[3] x) => (float[3] y) { y = Neg(x) }")
    kind = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    graph.graph.input.append(helper.make_value_info("words", kind))

    with pytest.raises(GraphError, match="'words' is a map, which is not served"):
        serve_tensors(graph)


def test_the_given_graph_is_not_changed() -> None:
    given = model("(seq(float[2]) x) => (float[2] y) { i = Constant <value_int = 0> () y = SequenceAt(x, i) }")
    given.graph.initializer.append(numpy_helper.from_array(X, "unused"))
    before = serialize(given)

    serve_tensors(given)

    assert serialize(given) == before
