"""Responses in protobuf, read by protobuf's own library."""

import numpy as np

from service.grpc.messages import message_class
from service.wire import grpc_response
from service.wire.v2_request import InferRequest, RequestedOutput

Y = np.array([[1.5, -2.0], [0.0, 3.0]], np.float32)
Z = np.array([-(2**63), 7], np.int64)


def encode(*outputs: RequestedOutput, identity: str | None = None) -> bytes:
    request = InferRequest({}, outputs, identity)
    return grpc_response.encode("m", 300, request, {"y": Y, "z": Z}, ("no", "yes"))


def read(body: bytes):
    return message_class("ModelInferResponse").FromString(body)


def test_outputs_come_raw_in_the_order_of_the_request() -> None:
    response = read(encode(RequestedOutput("z", binary=True), RequestedOutput("y", binary=True), identity="é"))

    assert (response.model_name, response.model_version, response.id) == ("m", "300", "é")
    assert [(one.name, one.datatype, list(one.shape)) for one in response.outputs] == [
        ("z", "INT64", [2]),
        ("y", "FP32", [2, 2]),
    ]
    assert list(response.raw_output_contents) == [Z.tobytes(), Y.tobytes()]


def test_outputs_come_typed() -> None:
    response = read(encode(RequestedOutput("y"), RequestedOutput("z"), RequestedOutput("y", classes=1)))

    assert list(response.outputs[0].contents.fp32_contents) == Y.ravel().tolist()
    assert list(response.outputs[1].contents.int64_contents) == Z.tolist()
    assert list(response.outputs[2].contents.bytes_contents) == [b"1.5:0:no", b"3.0:1:yes"]


def test_what_has_no_typed_contents_comes_raw() -> None:
    half = np.array([0.5], np.float16)
    response = read(grpc_response.encode("m", 1, InferRequest({}, (RequestedOutput("y"),)), {"y": half}))

    assert list(response.raw_output_contents) == [half.tobytes()]


def test_a_stream_has_responses_and_errors() -> None:
    answer = message_class("ModelStreamInferResponse").FromString
    response = encode(RequestedOutput("y", binary=True), identity="1")

    good = answer(grpc_response.in_stream(response))
    bad = answer(grpc_response.error_in_stream("no such model", "2"))
    nameless = answer(grpc_response.error_in_stream("no such model", ""))

    assert (good.error_message, good.infer_response.id) == ("", "1")
    assert good.infer_response.parameters["triton_final_response"].bool_param
    assert (bad.error_message, bad.infer_response.id) == ("no such model", "2")
    assert nameless.infer_response.id == ""
