"""Requests and responses of models with more than one input and output."""

import numpy as np
import pytest

from models.errors import InvalidInput
from models.manifest import TensorSpec
from service.wire import v1_json
from service.wire.pieces import LARGE_BYTES

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


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"instances": [[1, 2]]}', "instances[0]: got a list, expected an object with exactly ['a', 'b']"),
        (b'{"instances": [7]}', "instances[0]: got a number, expected an object with exactly ['a', 'b']"),
        (b'{"instances": [{"b64": "Yg=="}]}', "instances[0]: got ['b64'], expected an object with exactly ['a', 'b']"),
        (b'{"instances": [{"a": [1, 2]}]}', "instances[0]: got ['a'], expected an object with exactly ['a', 'b']"),
        (b'{"inputs": [[1, 2]]}', "inputs: got a list, expected an object with exactly ['a', 'b']"),
        (
            b'{"instances": [' + b"[1, 2], " * LARGE_BYTES + b"[1, 2]]}",
            "instances[0]: got no object, expected an object with exactly ['a', 'b']",
        ),
    ],
    ids=["a list", "a number", "base64", "one of two", "columns", "many lists"],
)
def test_what_does_not_name_the_inputs_is_told_their_names(body: bytes, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        v1_json.decode(body, SPECS)

    assert str(caught.value) == message


def test_several_outputs_come_back_by_name() -> None:
    outputs = {"x": np.array([[1.5], [2.5]], np.float32), "y": np.array([1, 2])}
    by_row = v1_json.PredictRequest({}, rows=2)
    by_column = v1_json.PredictRequest({}, rows=None)

    assert v1_json.encode(by_row, outputs) == b'{"predictions":[{"x":[1.5],"y":1},{"x":[2.5],"y":2}]}'
    assert v1_json.encode(by_column, outputs) == b'{"outputs":{"x":[[1.5],[2.5]],"y":[1,2]}}'


TEXT = (TensorSpec(name="text", datatype="BYTES", shape=(-1,)),)


@pytest.mark.parametrize(
    "body",
    [
        b'{"instances": [{"b64": "w6k="}, "b"]}',
        b'{"instances": [{"text": {"b64": "w6k="}}, {"text": "b"}]}',
        b'{"inputs": [{"b64": "w6k="}, "b"]}',
        b'{"inputs": {"text": ["\xc3\xa9", {"b64": "Yg=="}]}}',
    ],
)
def test_text_comes_in_base64_as_well(body: bytes) -> None:
    assert v1_json.decode(body, TEXT).inputs["text"].tolist() == ["é", "b"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"instances": [{"b64": "?"}]}', "instances.b64: not valid base64"),
        (b'{"instances": [{"b64": 1}]}', "instances.b64: got a number, expected a string"),
        (b'{"instances": [{"b64": "/w=="}]}', "instances.b64: the bytes are not valid UTF-8"),
        (
            b'{"instances": [{"b64": "Yg==", "more": 1}]}',
            "instances[0]: got ['b64', 'more'], expected an object with exactly ['text']",
        ),
        (b'{"instances": ["b", {"base64": "Yg=="}]}', "instances[1]: got an object, expected BYTES"),
    ],
)
def test_what_is_no_base64_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        v1_json.decode(body, TEXT)

    assert str(caught.value).startswith(message)


def test_numbers_do_not_come_in_base64() -> None:
    with pytest.raises(InvalidInput, match=r"instances\[0\]: got an object, expected FP32"):
        v1_json.decode(b'{"instances": [{"b64": "Yg=="}]}', (TensorSpec(name="x", datatype="FP32", shape=(-1,)),))


def test_base64_is_found_at_any_depth() -> None:
    deep = 900
    body = b'{"instances": ' + b"[" * deep + b'{"b64": "Yg=="}' + b"]" * deep + b"}"

    with pytest.raises(InvalidInput, match="nest deeper"):
        v1_json.decode(body, TEXT)


def test_outputs_whose_name_says_so_come_in_base64() -> None:
    texts = np.array([["é"], ["b"]], object)
    request = v1_json.PredictRequest({}, rows=2)

    assert v1_json.encode(request, {"image_bytes": texts}) == b'{"predictions":[[{"b64":"w6k="}],[{"b64":"Yg=="}]]}'
    assert v1_json.encode(request, {"image": texts}) == '{"predictions":[["é"],["b"]]}'.encode()
    assert v1_json.encode(request, {"image_bytes": np.array([1, 2])}) == b'{"predictions":[1,2]}'


def test_rows_of_an_output_that_has_other_rows_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"instances: output 'y' of shape \[3\] is not made of 2 rows"):
        v1_json.encode(v1_json.PredictRequest({}, rows=2), {"x": np.array([1, 2]), "y": np.array([1, 2, 3])})
