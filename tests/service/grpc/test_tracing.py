"""Spans of calls."""

import asyncio
from typing import Any

import grpc
import numpy as np
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from models.repository.repository import Repository
from service.access import Guard
from service.grpc.calls import Access
from service.grpc.messages import SERVICE
from service.grpc.server import GrpcServer
from service.grpc.service import Service
from service.grpc.tracing import TracedCalls
from service.host.lifecycle import Lifecycle
from service.host.memory_budget import MemoryBudget
from service.telemetry.requests import RequestRecorder
from service.telemetry.statistics import ServiceStatistics
from service.telemetry.tracing import describe_request
from tests.awaiting import within_time
from tests.service.grpc.client import SECONDS, infer_request
from tests.service.grpc.conftest import serving
from tests.service.tracing import PARENT, TRACE, TRACEPARENT, exporting

METADATA = [("traceparent", TRACEPARENT)]
ROWS = np.zeros((2, 4), np.float32)


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def assert_steps(spans: tuple[ReadableSpan, ...], *steps: str) -> ReadableSpan:
    """Returns the span of the one call, which is below the client's and above its steps."""
    *below, root = spans
    assert root.context is not None
    assert root.parent is not None
    assert (f"{root.parent.trace_id:032x}", f"{root.parent.span_id:016x}") == (TRACE, PARENT)
    assert [span.name for span in below] == list(steps)
    assert {span.parent and span.parent.span_id for span in below} == {root.context.span_id}
    return root


@pytest.mark.parametrize("rows", [2, 8192], ids=["decoded on the event loop", "decoded in a thread"])
def test_a_prediction_is_traced(repository: Repository, exporter: InMemorySpanExporter, rows: int) -> None:
    with serving(repository, traces="otlp", inline_ms=0.0) as traced:
        request = infer_request(np.zeros((rows, 4), np.float32))
        traced.grpc.call("ModelInfer", request, [*METADATA, ("x-request-id", "mine")])

    root = assert_steps(exporter.get_finished_spans(), "decode", "queue", "run", "encode")
    assert root.name == f"{SERVICE}/ModelInfer"
    assert attributes(root) == {
        "rpc.system": "grpc",
        "rpc.service": SERVICE,
        "rpc.method": "ModelInfer",
        "rpc.grpc.status_code": 0,
        "client.address": "127.0.0.1",
        "denge.request_id": "mine",
    }


def test_a_stream_is_one_span_above_the_steps_of_all_its_requests(
    repository: Repository, exporter: InMemorySpanExporter
) -> None:
    with serving(repository, traces="otlp", inline_ms=1000.0) as traced:
        assert len(list(traced.grpc.infer_stream([infer_request(ROWS)] * 2, METADATA))) == 2

    assert_steps(exporter.get_finished_spans(), *["decode", "run", "encode"] * 2)


@pytest.mark.parametrize(("method", "code"), [("ModelInfer", 5), ("TraceSetting", 12)])
def test_the_status_of_a_failed_call_is_in_its_span(
    repository: Repository, exporter: InMemorySpanExporter, method: str, code: int
) -> None:
    with serving(repository, traces="otlp") as traced:
        call = traced.grpc.channel.unary_unary(f"/{SERVICE}/{method}")
        with pytest.raises(grpc.RpcError):
            call(infer_request(ROWS, "nothing").SerializeToString(), timeout=SECONDS)

    (root,) = exporter.get_finished_spans()
    assert root.parent is None
    assert attributes(root)["rpc.grpc.status_code"] == code
    assert (root.status.status_code is StatusCode.ERROR) is (method == "TraceSetting")


def test_a_cancelled_call_has_its_span() -> None:
    exporter, provider = exporting()
    recorder = RequestRecorder(ServiceStatistics(), describe=describe_request)

    async def scenario() -> None:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def respond(_client: object, _message: bytes) -> bytes:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            return b""

        lifecycle = Lifecycle()
        calls = TracedCalls(provider.get_tracer("test"), Guard(), recorder, MemoryBudget(1 << 20), SECONDS)
        service = Service({"/test/Wait": calls.unary("/test/Wait", Access.PREDICT, respond)})
        options: Any = {"hosts": ["127.0.0.1"], "port": 0, "max_message_bytes": 1 << 20}
        async with (
            GrpcServer(service, lifecycle, **options, idle_seconds=60, drain_seconds=1).serving(),
            grpc.aio.insecure_channel(lifecycle.addresses["gRPC"]) as channel,
        ):
            call = channel.unary_unary("/test/Wait")(b"")
            waiting = asyncio.ensure_future(call.code())
            await begun.wait()
            call.cancel()
            await waiting
            await ended.wait()

    asyncio.run(within_time(scenario(), "the call was not cancelled"))

    (root,) = exporter.get_finished_spans()
    assert root.name == "test/Wait"
    assert attributes(root)["rpc.grpc.status_code"] == 1


def test_calls_are_not_traced_by_default(repository: Repository, exporter: InMemorySpanExporter) -> None:
    with serving(repository) as plain:
        plain.grpc.call("ModelInfer", infer_request(ROWS), METADATA)

    assert exporter.get_finished_spans() == ()
