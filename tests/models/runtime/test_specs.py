"""Inputs and outputs of a graph."""

import onnx
import pytest

from models.errors import GraphError
from models.graph.load import serialize
from models.runtime.specs import specs
from tests.graphs import linear_norm


@pytest.mark.parametrize(("batch", "size"), [("1", 1), ("N", -1)])
def test_the_first_axis_may_be_fixed_or_free(batch: str, size: int) -> None:
    inputs, outputs = specs(serialize(linear_norm(batch=batch)))

    assert [spec.shape for spec in (*inputs, *outputs)] == [(size, 4), (size, 3)]


def test_axes_of_the_name_of_a_first_axis_are_as_long() -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 18]> network (float[N, T] x, float[2, N, T, N] h, float s) '
        "=> (float[N, T] y) { y = Identity(x) }"
    )

    inputs, outputs = specs(serialize(model))

    assert [spec.batch_axes for spec in (*inputs, *outputs)] == [None, (1, 3), None, None]


def test_what_onnxruntime_cannot_load_is_an_error() -> None:
    with pytest.raises(GraphError, match="cannot load"):
        specs(b"\x08\x09")


def test_tensors_of_a_type_that_the_protocol_does_not_have_are_refused() -> None:
    model = linear_norm()
    model.graph.input.add(name="words").type.tensor_type.elem_type = 17
    model.graph.input[-1].type.tensor_type.shape.dim.add(dim_param="N")

    with pytest.raises(GraphError, match=r"'words' is a tensor\(float8e4m3fn\)"):
        specs(serialize(model))
