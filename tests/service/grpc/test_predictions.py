"""Predictions over gRPC: equal to those over HTTP, errors with a field, streams that go on."""

import asyncio
from base64 import b64encode
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import structlog

from models.repository.repository import Repository
from service.access import Guard
from service.grpc.calls import Access, Calls
from service.grpc.messages import message_class
from service.grpc.predictions import Predictions
from service.grpc.server import GrpcServer
from service.grpc.service import Service
from service.host.lifecycle import Lifecycle
from service.host.memory_budget import MemoryBudget
from service.inference.dialect import Call
from service.telemetry.requests import RequestRecorder
from service.telemetry.statistics import ServiceStatistics
from tests.awaiting import within_time
from tests.bundles import INPUT, OUTPUT
from tests.domains import DOWN, UP, publish_domains, rows_of
from tests.image_files import encode, random_pixels
from tests.service.grpc.client import SECONDS, infer_request
from tests.service.grpc.conftest import Serving, serving

INFER = "/inference.GRPCInferenceService/ModelInfer"
ROWS = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)


def by_http(serving: Serving, rows: Any) -> Any:
    tensor = {"name": INPUT, "shape": list(rows.shape), "datatype": "FP32", "data": rows.tolist()}
    return serving.http.post("/v2/models/tiny/infer", json={"inputs": [tensor]}).json()


def fails(serving: Serving, request: Any, code: grpc.StatusCode = grpc.StatusCode.INVALID_ARGUMENT) -> str:
    with pytest.raises(grpc.RpcError) as failed:
        serving.grpc.call("ModelInfer", request)
    assert failed.value.code() == code, failed.value.details()
    return str(failed.value.details())


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
def test_a_prediction_is_that_of_http(shared: Serving, raw: bool) -> None:
    response = shared.grpc.call("ModelInfer", infer_request(ROWS, raw=raw, id="seven"))

    (output,) = response.outputs
    assert (response.model_name, response.model_version, response.id) == ("tiny", "1", "seven")
    assert (output.name, output.datatype, list(output.shape)) == (OUTPUT, "FP32", [3, 2])
    expected = np.array(by_http(shared, ROWS)["outputs"][0]["data"], np.float32)
    np.testing.assert_array_equal(np.frombuffer(response.raw_output_contents[0], np.float32), expected)


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
def test_encoded_images_are_a_batch(shared: Serving, raw: bool) -> None:
    files = [encode(pixels) for pixels in random_pixels(2, 8, 8)]
    request = message_class("ModelInferRequest")(model_name="shapes")
    tensor = request.inputs.add(name=INPUT, datatype="BYTES", shape=[2])
    if raw:
        request.raw_input_contents.append(b"".join(len(file).to_bytes(4, "little") + file for file in files))
    else:
        tensor.contents.bytes_contents.extend(files)

    for _ in range(2):  # no request is mistaken for an earlier one
        response = shared.grpc.call("ModelInfer", request)

        instances = [{"b64": b64encode(file).decode()} for file in files]
        expected = shared.http.post("/v1/models/shapes:predict", json={"instances": instances}).json()["predictions"]
        scores = np.frombuffer(response.raw_output_contents[0], np.float32).reshape(2, 3)
        np.testing.assert_array_equal(scores, np.array(expected, np.float32))


def test_a_file_that_is_no_image_is_refused_by_its_place(shared: Serving) -> None:
    request = message_class("ModelInferRequest")(model_name="shapes")
    request.inputs.add(name=INPUT, datatype="BYTES", shape=[1]).contents.bytes_contents.append(b"hello")

    assert fails(shared, request).startswith("inputs[0].data[0]: expected a PNG or JPEG image")


def test_outputs_are_typed_where_the_client_asks_for_that(shared: Serving) -> None:
    request = infer_request(ROWS)
    request.parameters["binary_data_output"].bool_param = False

    response = shared.grpc.call("ModelInfer", request)

    expected = np.array(by_http(shared, ROWS)["outputs"][0]["data"], np.float32)
    np.testing.assert_array_equal(np.array(response.outputs[0].contents.fp32_contents, np.float32), expected)
    assert not response.raw_output_contents


def test_the_best_classes_are_texts(shared: Serving) -> None:
    request = infer_request(ROWS)
    request.outputs.add(name=OUTPUT).parameters["classification"].int64_param = 1

    response = shared.grpc.call("ModelInfer", request)

    assert (response.outputs[0].datatype, list(response.outputs[0].shape)) == ("BYTES", [3, 1])
    assert response.raw_output_contents[0].endswith((b":yes", b":no"))


def test_what_is_queued_is_answered_as_what_runs_at_once(repository: Repository, shared: Serving) -> None:
    with serving(repository, inline_ms=0) as queued:
        assert queued.grpc.call("ModelInfer", infer_request(ROWS)) == shared.grpc.call(
            "ModelInfer", infer_request(ROWS)
        )
        (counted,) = queued.grpc.ask("ModelStatistics", name="tiny").model_stats

    assert (counted.inference_count, counted.inference_stats.success.count) == (3, 1)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda r: r.inputs[0].shape.pop(), "inputs[0].shape"),
        (lambda r: r.inputs[0].shape.append(-1), "inputs[0].shape"),
        (lambda r: r.inputs[0].shape.extend([1] * 40), "inputs[0].shape"),
        (lambda r: setattr(r.inputs[0], "datatype", "FP64"), "inputs[0].datatype"),
        (lambda r: setattr(r.inputs[0], "name", "other"), "inputs[0].name"),
        (lambda r: r.inputs[0].contents.fp32_contents.append(1), "inputs[0].contents"),
        (lambda r: r.raw_input_contents.append(b""), "raw_input_contents"),
        (lambda r: r.raw_input_contents.__setitem__(0, b"123"), "inputs[0].data"),
        (lambda r: r.raw_input_contents.__setitem__(0, b"\xff" * 48), "inputs[0].data[0]"),
        (lambda r: r.raw_input_contents.pop(), "inputs[0].data"),
        (lambda r: r.inputs.add(name=INPUT) and r.raw_input_contents.append(b""), "inputs[1].name"),
        (lambda r: r.inputs.pop() and r.raw_input_contents.pop(), "inputs"),
        (lambda r: r.outputs.add(name="other"), "outputs[0].name"),
        (lambda r: r.parameters["priority"].SetInParent(), "parameters.priority"),
        (lambda r: setattr(r.parameters["priority"], "int64_param", -1), "parameters.priority"),
        (lambda r: setattr(r.parameters["timeout"], "string_param", "soon"), "parameters.timeout"),
        (lambda r: setattr(r, "model_version", "one"), "model_version"),
        (lambda r: setattr(r, "model_version", "²"), "model_version"),
        (
            lambda r: setattr(r.inputs[0].parameters["shared_memory_region"], "string_param", "x"),
            "inputs[0].parameters.shared_memory_region",
        ),
    ],
)
def test_what_is_wrong_is_named(shared: Serving, change: Any, field: str) -> None:
    request = infer_request(ROWS)
    change(request)

    assert fails(shared, request).startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"\x0a\xff", "body"),
        (b"\x0b", "body"),
        (b"\x0a\x04\xff\xff\xff\xff", "model_name"),
        (b"\x08\x01", "model_name"),
        (b"\x0a\x04tiny\x28\x01", "inputs[0]"),
        (b"\x0a\x04tiny" + b"\x2a\x00" * 2000, "body"),
        (b"\x0a\x04tiny" + b"\x38\x01", "raw_input_contents[0]"),
        (b"\x0a\x04tiny\x1a\x01\xff" + b"\x2a\x00", "inputs[0].contents"),
        (b"\x0a\x04tiny" + b"\xff" * 12, "body"),
    ],
)
def test_what_is_no_request_is_an_argument_too(shared: Serving, body: bytes, field: str) -> None:
    assert fails(shared, body).split(":")[0].startswith(field)


def test_unknown_fields_are_left_alone(shared: Serving) -> None:
    known = infer_request(ROWS)

    assert shared.grpc.call("ModelInfer", known.SerializeToString() + b"\x7a\x03abc") == shared.grpc.call(
        "ModelInfer", known
    )


def test_unknown_models_and_versions_are_not_found(shared: Serving) -> None:
    for request in (infer_request(ROWS, "other"), infer_request(ROWS, model_version="9")):
        assert "is not found" in fails(shared, request, grpc.StatusCode.NOT_FOUND)


def test_a_message_beyond_the_limit_is_refused_compressed_or_not(shared: Serving) -> None:
    big = infer_request(np.zeros((1 << 16, 8), np.float32)).SerializeToString()

    assert "larger than max" in fails(shared, big, grpc.StatusCode.RESOURCE_EXHAUSTED)
    options: Any = [
        ("grpc.default_compression_algorithm", grpc.Compression.Gzip.value),
        ("grpc.max_send_message_length", -1),
    ]
    with grpc.insecure_channel(shared.address, options=options) as channel, pytest.raises(grpc.RpcError) as failed:
        channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(bytes(1 << 28), timeout=30)
    assert failed.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_compressed_messages_are_read(shared: Serving) -> None:
    options: Any = [("grpc.default_compression_algorithm", grpc.Compression.Gzip.value)]
    with grpc.insecure_channel(shared.address, options=options) as channel:
        answer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(
            infer_request(ROWS).SerializeToString(), timeout=30
        )

    assert message_class("ModelInferResponse").FromString(answer) == shared.grpc.call("ModelInfer", infer_request(ROWS))


def test_a_stream_is_answered_in_order_and_goes_on_after_an_error(shared: Serving) -> None:
    requests = [
        infer_request(ROWS, id="0"),
        infer_request(ROWS, "other", id="1"),
        b"\xff",
        infer_request(ROWS[:1], id="3"),
    ]

    with structlog.testing.capture_logs() as events:
        answers = list(shared.grpc.infer_stream(requests))

    assert [answer.infer_response.id for answer in answers] == ["0", "1", "", "3"]
    assert [bool(answer.error_message) for answer in answers] == [False, True, True, False]
    assert "is not found" in answers[1].error_message
    assert list(answers[3].infer_response.outputs[0].shape) == [1, 2]
    assert answers[0].infer_response.parameters["triton_final_response"].bool_param
    refused = [event["error"] for event in events if event["event"] == "request_refused_in_stream"]
    assert refused == [answer.error_message for answer in answers if answer.error_message]


class WaitingHandler:
    """Queues every request, and says when one came and when it left."""

    def __init__(self) -> None:
        self.queued, self.left = asyncio.Event(), asyncio.Event()

    def admit(self, call: Call) -> Call:
        return call

    def decode(self, admitted: Call, _body: bytes) -> Call:
        return admitted

    def run_now(self, _prediction: Call) -> None:
        return None

    async def run(self, _prediction: Call, _disconnected: object) -> None:
        self.queued.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()


@pytest.mark.parametrize("deadline", [None, 0.05], ids=["cancelled", "past its deadline"])
def test_a_request_that_its_client_gives_up_leaves_the_queue(deadline: float | None) -> None:
    async def scenario() -> Any:
        handler, lifecycle, statistics = WaitingHandler(), Lifecycle(), ServiceStatistics()
        calls = Calls(Guard(), RequestRecorder(statistics), MemoryBudget(1 << 20), SECONDS)
        infer = Predictions(handler).infer  # type: ignore[arg-type]
        service = Service({INFER: calls.unary(INFER, Access.PREDICT, infer)})
        options: Any = {"hosts": ["127.0.0.1"], "port": 0, "max_message_bytes": 1 << 20}
        async with (
            GrpcServer(service, lifecycle, **options, idle_seconds=60, drain_seconds=1).serving(),
            grpc.aio.insecure_channel(lifecycle.addresses["gRPC"]) as channel,
        ):
            call = channel.unary_unary(INFER)(infer_request(ROWS).SerializeToString(), timeout=deadline)
            await handler.queued.wait()
            if deadline is None:
                call.cancel()
            await handler.left.wait()
            code = await call.code()
        return code, dict(statistics.requests)

    code, counted = asyncio.run(within_time(scenario(), "the request did not leave the queue"))

    assert code in {grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED}
    assert list(counted) == [(INFER, "gRPC", 400)]


def test_rows_of_several_domains_are_answered_by_several_versions(tmp_path: Path) -> None:
    with serving(publish_domains(Repository(tmp_path / "repository"))) as own:
        own.http.put("/v2/models/tiny/rollout/domains", json={"versions": [UP, DOWN]})
        rows = np.concatenate([rows_of(version, 1) for version in (DOWN, 1, UP)])

        response = own.grpc.call("ModelInfer", infer_request(rows))

        assert response.model_version == "1"
        assert response.parameters["row_versions"].string_param == f"{DOWN},1,{UP}"
        expected = np.array(by_http(own, rows)["outputs"][0]["data"], np.float32)
        np.testing.assert_array_equal(np.frombuffer(response.raw_output_contents[0], np.float32), expected)
