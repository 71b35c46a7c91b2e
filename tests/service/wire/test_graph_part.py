"""A part of a graph computes what the whole graph does, and nothing else."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, parser

from models import starter
from models.errors import GraphError, InvalidInput
from models.graph.load import parse
from models.observation import mean_output, square_output
from models.repository.repository import Repository
from models.runtime.load import load
from models.stored_graph import StoredGraph
from service.wire.graph_part import keep_outputs

FIRST = "blocks.0.norm"


def test_the_first_layer_of_a_network_is_computed_as_in_the_whole_graph() -> None:
    bundle = Repository(Path(starter.__file__).parent).read("convnet", 1)
    assert bundle.observed is not None
    wanted = {mean_output(FIRST), square_output(FIRST)}
    rows = {"input": np.random.default_rng(0).random((3, 1, 28, 28)).astype(np.float32)}

    part = keep_outputs(bundle.observed, wanted)

    found, whole = (load(graph, optimize=True)(rows) for graph in (part, bundle.observed))
    assert found.keys() == wanted
    for name in wanted:
        # onnxruntime fuses a convolution with what follows it in one graph, and not in the other.
        np.testing.assert_allclose(found[name], whole[name], rtol=1e-5, atol=1e-6)
    convolutions = [
        sum(node.op_type == "Conv" for node in parse(graph).graph.node) for graph in (part, bundle.observed)
    ]
    assert convolutions == [1, 3]
    onnx.checker.check_model(parse(part))


def test_weights_in_files_stay_there() -> None:
    weights = np.arange(3, dtype=np.float32)
    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[N, 3] x) => (float[N, 3] a, float[N, 3] b)'
        " { a = Add(x, w)  b = Mul(x, v) }"
    )
    for name in "wv":
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
        for key, value in (("location", name), ("offset", "0"), ("length", "12")):
            tensor.external_data.add(key=key, value=value)
        model.graph.initializer.append(tensor)
    graph = StoredGraph(model.SerializeToString(), {name: weights.tobytes() for name in "wv"})

    part = keep_outputs(graph, {"a"})

    assert isinstance(part, StoredGraph)
    assert [tensor.name for tensor in parse(part).graph.initializer] == ["w"]
    (found,) = load(part, optimize=True)({"x": np.ones((1, 3), np.float32)}).values()
    np.testing.assert_array_equal(found, 1 + weights[None])


def test_what_is_read_inside_of_a_branch_stays() -> None:
    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[N] x) => (float[N] a, float[N] b)'
        " { c = Neg(x)  d = Abs(x)  yes = Constant<value = bool {1}>()"
        "   a = If(yes) <then_branch = t () => (float[N] y) { y = Identity(c) },"
        " else_branch = e () => (float[N] z) { z = Identity(x) }>"
        "   b = Identity(d) }"
    )

    part = keep_outputs(model.SerializeToString(), {"a"})

    assert {node.op_type for node in parse(part).graph.node} == {"Neg", "Constant", "If"}
    (found,) = load(part, optimize=True)({"x": np.float32([2])}).values()
    np.testing.assert_array_equal(found, np.float32([-2]))


def test_what_is_no_graph_or_has_not_the_outputs_is_refused() -> None:
    with pytest.raises(InvalidInput, match="graph: "):
        keep_outputs(b"\xff\xff", {"a"})
    bundle = Repository(Path(starter.__file__).parent).read("mlp", 1)
    assert bundle.observed is not None
    with pytest.raises(GraphError):  # a graph without outputs
        load(keep_outputs(bundle.observed, {"missing"}), optimize=True)
