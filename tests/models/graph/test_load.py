"""Bytes become a model only if they are one, whole and in one file."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from models.errors import ExternalData, GraphError
from models.graph.load import parse, serialize, validate
from tests.models.graph.cases import CASES, Graph


def external() -> onnx.TensorProto:
    tensor = onnx.TensorProto(name="secret", data_type=onnx.TensorProto.FLOAT, dims=[1])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


def plain() -> onnx.ModelProto:
    graph = Graph()
    return graph.model(graph.op("Relu", graph.input(3)))


def in_initializer(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(external())


def in_sparse_initializer(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add().values.CopyFrom(external())


def in_attribute(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=external()))


def in_sparse_attribute(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.add(name="sparse_value").sparse_tensor.indices.CopyFrom(external())


def in_subgraph(model: onnx.ModelProto) -> None:
    inner = helper.make_graph([], "inner", [], [], [external()])
    outer = helper.make_graph([helper.make_node("If", ["c"], ["d"], then_branch=inner)], "outer", [], [])
    model.graph.node.append(helper.make_node("Loop", ["a", "b"], ["e"], body=outer))


def in_function(model: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["c"], value=external())
    model.functions.append(helper.make_function("local", "F", [], ["c"], [node], [helper.make_opsetid("", 20)]))


def in_training_info(model: onnx.ModelProto) -> None:
    model.training_info.add().algorithm.initializer.append(external())


def named_only(model: onnx.ModelProto) -> None:
    """A location without the flag that says so."""
    in_initializer(model)
    model.graph.initializer[0].data_location = onnx.TensorProto.DEFAULT


@pytest.mark.parametrize(
    "hide",
    [
        in_initializer,
        in_sparse_initializer,
        in_attribute,
        in_sparse_attribute,
        in_subgraph,
        in_function,
        in_training_info,
        named_only,
    ],
)
def test_external_data_is_refused_wherever_it_hides(hide: Callable[[onnx.ModelProto], None]) -> None:
    model = plain()
    hide(model)

    with pytest.raises(ExternalData, match="tensor 'secret' is stored in another file"):
        parse(model.SerializeToString())


@pytest.mark.parametrize("data", [b"\xff not a model", b"<html>"])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(GraphError, match="not an ONNX file"):
        parse(data)


def test_a_malformed_model_is_refused() -> None:
    model = plain()
    model.graph.node[0].input[0] = "nowhere"

    with pytest.raises(GraphError, match=r"not a valid ONNX model: .*nowhere"):
        parse(model.SerializeToString())
    with pytest.raises(GraphError, match="not a valid ONNX model"):
        parse(b"")


def test_a_model_survives_the_round_trip_with_the_same_bytes() -> None:
    model = CASES["residual"].model(np.float32)
    data = serialize(model)

    assert data == serialize(parse(data))
    assert parse(data) == model


def test_custom_domains_are_left_alone() -> None:
    model = plain()
    model.graph.node[0].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    model.graph.initializer.append(numpy_helper.from_array(np.ones(1), "unused"))
    relu = helper.make_node("Relu", ["x"], ["y"])
    model.functions.append(
        helper.make_function("com.example", "F", ["x"], ["y"], [relu], [helper.make_opsetid("", 20)])
    )

    assert parse(model.SerializeToString()) == model


def test_an_input_without_a_shape_is_named() -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 18]> network (float[N] x, float[N] w) => (float[N] y) { y = Add(x, w) }'
    )
    model.graph.input[1].type.tensor_type.ClearField("shape")

    with pytest.raises(GraphError, match="input 'w' has no shape: state one"):
        validate(model)
