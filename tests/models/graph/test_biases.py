"""Biases of a wrong shape: zeros, as torch's newer exporter writes them, and numbers."""

import numpy as np
import onnx
import onnxruntime
import pytest

from models.errors import GraphError
from models.graph.biases import repair_biases
from models.graph.load import serialize
from models.importing.onnx import import_graph
from models.model_info import ModelInfo
from tests.models.graph.cases import Graph
from tests.models.graph.oracle import error, feeds, runtime


def convolution(bias: str) -> onnx.ModelProto:
    """A 3-D convolution, as torch's newer exporter writes it."""
    graph = Graph()
    x, weight = graph.input(2, 4, 4, 4), graph.weight(4, 2, 3, 3, 3, name="weight")
    if bias == "computed":
        rows = graph.op("Shape", weight, start=0, end=1)
        graph.op("Expand", graph.constant(0.0), graph.op("Concat", rows, graph.constant([2]), axis=0), name="bias")
    else:
        shapes = {"vector": (4,), "none": (4,)}
        graph.constant(np.zeros(shapes.get(bias, (4, 2))), "bias_out")
    return graph.model(
        graph.op("Conv", x, weight, *([] if bias == "none" else ["bias_out"]), name="conv"), dtype=np.float32
    )


def with_bias(op_type: str, *shape: int, transposed: int = 0) -> onnx.ModelProto:
    """A normalised layer of four channels with a bias of ones of this shape."""
    graph = Graph()
    bias = graph.constant(np.ones(shape))
    if op_type == "Gemm":
        weight = graph.weight(*((4, 6) if transposed else (6, 4)))
        y = graph.op("Gemm", graph.input(6), weight, bias, name="linear", transB=transposed)
    else:
        weight = graph.weight(*((2, 2, 3, 3) if op_type == "ConvTranspose" else (4, 1, 3, 3)))
        y = graph.op(op_type, graph.input(2, 4, 4), weight, bias, name="linear", group=2)
    return graph.model(graph.bn(y, 4), dtype=np.float32)


@pytest.mark.parametrize("bias", ["computed", "stored"])
def test_zeros_of_another_shape_are_removed_and_the_graph_runs(bias: str) -> None:
    source = convolution(bias)
    output = source.graph.output[0].name
    inputs = feeds(source, 2)
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.Fail, match="bias must be a 1D tensor"):
        runtime(source, inputs, [output])

    repaired = runtime(repair_biases(source), inputs, [output])[output]
    expected = runtime(convolution("none"), inputs, [output])[output]

    assert error(expected, repaired) == 0


@pytest.mark.parametrize("bias", ["vector", "none"])
def test_other_biases_are_left(bias: str) -> None:
    source = convolution(bias)
    before = serialize(source)

    assert repair_biases(source) is source
    assert serialize(source) == before


@pytest.mark.parametrize(
    ("op_type", "shape"),
    [("Conv", (4, 2)), ("Conv", (3,)), ("Conv", (1,)), ("Conv", ()), ("Conv", (4, 1)), ("ConvTranspose", (2,)),
     ("Gemm", (3,)), ("Gemm", (4, 2)), ("Gemm", (4, 1, 1))],
)  # fmt: skip
def test_a_bias_that_no_runtime_can_add_is_refused_in_words(op_type: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(GraphError, match=r"linear.* has a bias of shape .* need \(4,\): write the file again"):
        import_graph(with_bias(op_type, *shape), ModelInfo("network"))


@pytest.mark.parametrize(
    ("op_type", "shape", "transposed"),
    [("Conv", (4,), 0), ("ConvTranspose", (4,), 0), ("Gemm", (), 0), ("Gemm", (1,), 0), ("Gemm", (1, 4), 1)],
)
def test_a_bias_that_is_broadcast_folds(op_type: str, shape: tuple[int, ...], transposed: int) -> None:
    bundle = import_graph(with_bias(op_type, *shape, transposed=transposed), ModelInfo("network"))

    assert [layer.placement.kind for layer in bundle.manifest.norm_layers] == ["folded_back"]
