"""A 3-D convolution without bias, as torch's newer exporter writes it."""

import numpy as np
import onnx
import onnxruntime
import pytest

from models.graph.load import serialize
from models.graph.zero_biases import remove_malformed_zero_biases
from tests.models.graph.cases import Graph
from tests.models.graph.oracle import error, feeds, runtime


def convolution(bias: str) -> onnx.ModelProto:
    graph = Graph()
    x, weight = graph.input(2, 4, 4, 4), graph.weight(4, 2, 3, 3, 3, name="weight")
    if bias == "computed":
        rows = graph.op("Shape", weight, start=0, end=1)
        graph.op("Expand", graph.constant(0.0), graph.op("Concat", rows, graph.constant([2]), axis=0), name="bias")
    else:
        shapes = {"vector": (4,), "none": (4,)}
        graph.constant(np.zeros(shapes.get(bias, (4, 2))) + (bias == "numbers"), "bias_out")
    return graph.model(
        graph.op("Conv", x, weight, *([] if bias == "none" else ["bias_out"]), name="conv"), dtype=np.float32
    )


@pytest.mark.parametrize("bias", ["computed", "stored"])
def test_zeros_of_another_shape_are_removed_and_the_graph_runs(bias: str) -> None:
    source = convolution(bias)
    output = source.graph.output[0].name
    inputs = feeds(source, 2)
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.Fail, match="bias must be a 1D tensor"):
        runtime(source, inputs, [output])

    repaired = runtime(remove_malformed_zero_biases(source), inputs, [output])[output]
    expected = runtime(convolution("none"), inputs, [output])[output]

    assert error(expected, repaired) == 0


@pytest.mark.parametrize("bias", ["vector", "numbers", "none"])
def test_other_biases_are_left(bias: str) -> None:
    source = convolution(bias)
    before = serialize(source)

    assert remove_malformed_zero_biases(source) is source
    assert serialize(source) == before
