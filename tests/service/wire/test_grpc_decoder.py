"""A request like an earlier one is decoded as if it were the first."""

from typing import Any

import numpy as np
import pytest

from models.errors import InvalidInput
from models.manifest import TensorSpec
from service.grpc.messages import message_class
from service.wire import grpc_request
from service.wire.grpc_decoder import GrpcDecoder

INPUTS = (TensorSpec(name="x", datatype="FP32", shape=(-1, 2)),)
OUTPUTS = (TensorSpec(name="y", datatype="FP32", shape=(-1, 2)),)


def body(values: list[float], *, raw: bool = True, **fields: Any) -> bytes:
    request = message_class("ModelInferRequest")(model_name="m", **fields)
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[len(values) // 2, 2])
    if raw:
        request.raw_input_contents.append(np.array(values, np.float32).tobytes())
    else:
        tensor.contents.fp32_contents.extend(values)
    return bytes(request.SerializeToString())


@pytest.fixture
def decoder() -> GrpcDecoder:
    return GrpcDecoder(INPUTS, OUTPUTS, max_templates=2)


def test_another_request_of_the_same_form_has_its_own_numbers(decoder: GrpcDecoder) -> None:
    for values in ([1.0, 2.0], [3.0, 4.0], [5.0, 6.0, 7.0, 8.0]):
        read = decoder.decode(body(values))
        expected = grpc_request.decode(body(values), INPUTS, OUTPUTS)
        np.testing.assert_array_equal(read.inputs["x"], expected.inputs["x"])
        assert read.inputs["x"].shape == (len(values) // 2, 2)
        assert read._replace(inputs={}) == expected._replace(inputs={})
    assert decoder.template_count == 2


def test_what_is_validated_once_is_not_trusted_with_other_numbers(decoder: GrpcDecoder) -> None:
    decoder.decode(body([1.0, 2.0]))

    with pytest.raises(InvalidInput, match=r"inputs\[0\]\.data\[1\]: got nan"):
        decoder.decode(body([1.0, float("nan")]))
    assert np.isnan(decoder.decode(body([1.0, float("nan")]), finite=False).inputs["x"][0, 1])


def test_a_request_of_the_same_length_that_asks_for_something_else_is_read_whole(decoder: GrpcDecoder) -> None:
    decoder.decode(body([1.0, 2.0], model_version="1"))

    other = body([1.0, 2.0], model_version="1").replace(b"FP32", b"FP64")
    with pytest.raises(InvalidInput, match="datatype"):
        decoder.decode(other)


def test_only_so_many_are_remembered_and_none_with_an_id_or_typed_contents(decoder: GrpcDecoder) -> None:
    decoder.decode(body([1.0, 2.0], id="seven"))
    decoder.decode(body([1.0, 2.0], raw=False))
    assert decoder.template_count == 0

    for rows in range(1, 6):
        decoder.decode(body([0.0, 0.0] * rows))
        assert decoder.template_count <= 2
