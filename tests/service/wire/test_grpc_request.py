"""Requests in protobuf are read as those in JSON."""

from typing import Any

import numpy as np
import pytest

from models.errors import InvalidInput
from models.manifest import TensorSpec
from service.grpc.messages import message_class
from service.wire import grpc_request
from service.wire.grpc_request import Head, parse_version, read_head, read_id

INPUTS = (
    TensorSpec(name="x", datatype="FP32", shape=(-1, 2)),
    TensorSpec(name="words", datatype="BYTES", shape=(-1, 1)),
)
OUTPUTS = (TensorSpec(name="y", datatype="FP32", shape=(-1, 2)), TensorSpec(name="z", datatype="INT64", shape=(-1,)))
X = np.array([[1.5, -2.0], [0.0, 3.0]], np.float32)
WORDS = ["a", "é"]


def request(*, raw: bool = True) -> Any:
    """Two inputs, the second one first."""
    whole = message_class("ModelInferRequest")(model_name="m", model_version="3", id="seven")
    words = whole.inputs.add(name="words", datatype="BYTES", shape=[2, 1])
    x = whole.inputs.add(name="x", datatype="FP32", shape=[2, 2])
    if raw:
        whole.raw_input_contents.append(b"\x01\0\0\0a\x02\0\0\0" + "é".encode())
        whole.raw_input_contents.append(X.tobytes())
    else:
        words.contents.bytes_contents.extend(word.encode() for word in WORDS)
        x.contents.fp32_contents.extend(X.ravel().tolist())
    return whole


def decode(message: Any) -> Any:
    return grpc_request.decode(message.SerializeToString(), INPUTS, OUTPUTS)


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
def test_inputs_are_found_by_name(raw: bool) -> None:
    read = decode(request(raw=raw))

    np.testing.assert_array_equal(read.inputs["x"], X)
    assert read.inputs["words"].tolist() == [["a"], ["é"]]
    assert read.id == "seven"
    assert [(output.name, output.binary) for output in read.outputs] == [("y", True), ("z", True)]


def test_parameters_are_those_of_json() -> None:
    whole = request()
    for name, field, value in (
        ("priority", "uint64_param", 2),
        ("timeout", "int64_param", 1500),
        ("layer_statistics", "bool_param", True),
        ("unknown", "double_param", 0.5),
        ("sequence_id", "string_param", "x"),
    ):
        setattr(whole.parameters[name], field, value)
    whole.outputs.add(name="y").parameters["classification"].int64_param = 3

    read = decode(whole)

    assert (read.priority, read.timeout, read.layer_statistics) == (2, 0.0015, True)
    assert [(output.name, output.classes) for output in read.outputs] == [
        ("y", 3),
        ("drift_score", 0),
        ("drift_layer", 0),
    ]


@pytest.mark.parametrize(
    ("name", "field", "value", "message"),
    [
        ("priority", "bool_param", True, "parameters.priority: got a boolean, expected an integer"),
        ("timeout", "bool_param", True, "parameters.timeout: got a boolean, expected an integer"),
        ("timeout", "double_param", 1.0, "parameters.timeout: got 1.0, expected an integer"),
        ("binary_data_output", "int64_param", 1, "parameters.binary_data_output: got a number, expected true or false"),
        ("layer_statistics", "uint64_param", 1, "parameters.layer_statistics: got a number, expected true or false"),
    ],
)
def test_booleans_are_no_numbers_in_parameters(name: str, field: str, value: object, message: str) -> None:
    whole = request()
    setattr(whole.parameters[name], field, value)

    with pytest.raises(InvalidInput) as caught:
        decode(whole)

    assert str(caught.value).startswith(message)


def test_booleans_are_no_counts_of_classes() -> None:
    whole = request()
    whole.outputs.add(name="y").parameters["classification"].bool_param = True

    with pytest.raises(InvalidInput, match=r"outputs\[0\]\.parameters\.classification: got a boolean"):
        decode(whole)


@pytest.mark.parametrize(
    ("raw", "place"), [(True, r"inputs\[0\]\.data\[1\]"), (False, r"inputs\[0\]\.contents\.bytes_contents\[1\]")]
)
def test_bytes_that_are_no_text_are_refused_with_the_reason(raw: bool, place: str) -> None:
    whole = request(raw=raw)
    if raw:
        whole.raw_input_contents[0] = b"\x01\0\0\0a\x01\0\0\0\xff"
    else:
        whole.inputs[0].contents.bytes_contents[1] = b"\xff"

    with pytest.raises(InvalidInput, match=rf"{place}: the bytes are not valid UTF-8 .*strings of ONNX are"):
        decode(whole)


def test_the_head_is_read_wherever_it_stands() -> None:
    body = request().SerializeToString()

    assert read_head(body) == Head("m", 3)
    assert read_head(b"\x12\x014" + body + b"\x0a\x01n") == Head("n", 3), "the last one counts, as in protobuf"
    assert (read_id(body), read_id(b""), read_id(b"\xff"), read_id(b"\x1a\x01\xff")) == ("seven", "", "", "")


def test_versions_are_numbers() -> None:
    assert [parse_version(text, "version") for text in ("", "12", "9" * 18)] == [None, 12, int("9" * 18)]
    for text in ("0", "01", "-1", "x", "1" * 19, "٣"):
        with pytest.raises(InvalidInput, match="version"):
            parse_version(text, "version")


def test_raw_and_typed_contents_do_not_mix() -> None:
    whole = request(raw=False)
    whole.raw_input_contents.append(X.tobytes())
    with pytest.raises(InvalidInput, match="raw_input_contents: got 1, expected one for each of the 2 inputs"):
        decode(whole)
    whole.raw_input_contents.append(X.tobytes())
    with pytest.raises(InvalidInput, match=r"inputs\[0\]\.contents: expected either"):
        decode(whole)
