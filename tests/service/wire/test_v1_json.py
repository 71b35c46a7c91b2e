"""Requests and responses of models with more than one input and output."""

import numpy as np
import pytest

from models.errors import InvalidInput
from models.manifest import TensorSpec
from service.wire import v1_json

SPECS = (
    TensorSpec(name="a", datatype="FP32", shape=(-1, 2)),
    TensorSpec(name="b", datatype="INT64", shape=(-1,)),
)


@pytest.mark.parametrize(
    "body",
    [
        b'{"instances": [{"a": [1, 2], "b": 3}, {"a": [4, 5], "b": 6}]}',
        b'{"inputs": {"a": [[1, 2], [4, 5]], "b": [3, 6]}}',
    ],
)
def test_several_inputs_are_read_by_name(body: bytes) -> None:
    request = v1_json.decode(body, SPECS)

    np.testing.assert_array_equal(request.inputs["a"], np.array([[1, 2], [4, 5]], np.float32))
    np.testing.assert_array_equal(request.inputs["b"], np.array([3, 6]))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"instances": [[1, 2]]}', "instances[0]"),
        (b'{"inputs": [[1, 2]]}', "inputs"),
        (b'{"inputs": {"a": [[1, 2]], "b": [3, 6]}}', "inputs"),
        (b'{"instances": [{"a": [1, 2], "b": 3.5}]}', "instances[*].b[0]"),
        (b'{"instances": [{"a": [1, 2], "b": 9223372036854775808}]}', "instances[*].b[0]"),
    ],
)
def test_several_inputs_are_refused_by_their_field(body: bytes, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        v1_json.decode(body, SPECS)

    assert caught.value.field == field


def test_several_outputs_come_back_by_name() -> None:
    outputs = {"x": np.array([[1.5], [2.5]], np.float32), "y": np.array([1, 2])}
    by_row = v1_json.PredictRequest({}, by_row=True)
    by_column = v1_json.PredictRequest({}, by_row=False)

    assert v1_json.encode(by_row, outputs) == b'{"predictions":[{"x":[1.5],"y":1},{"x":[2.5],"y":2}]}'
    assert v1_json.encode(by_column, outputs) == b'{"outputs":{"x":[[1.5],[2.5]],"y":[1,2]}}'
