"""Spans of requests, and their export to a collector."""

import asyncio
import threading
from typing import Any

import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.testclient import TestClient

from models.repository.repository import Repository
from service.app import create_app
from service.http.predictions import Application
from service.http.protocol import Protocol
from service.inference.v2 import V2
from service.settings import Settings
from service.telemetry import tracing
from service.telemetry.logs import add_ids
from service.telemetry.tracing import in_request, with_trace_id
from tests.service.http.test_protocol import Connection, in_json
from tests.service.routes.test_infer import request
from tests.service.tracing import PARENT, TRACE, TRACEPARENT, collecting

PATH = "/v2/models/tiny/infer"


def assert_a_prediction_was_traced(spans: tuple[ReadableSpan, ...], *steps: str, rows: int = 2) -> None:
    by_name = {span.name: span for span in spans}
    root = by_name["POST /v2/models/{model}/infer"]

    assert sorted(span.name for span in spans) == sorted([root.name, *steps])
    assert root.context is not None
    assert f"{root.context.trace_id:032x}" == TRACE
    assert root.parent is not None
    assert f"{root.parent.span_id:016x}" == PARENT
    assert root.attributes is not None
    assert root.attributes["http.response.status_code"] == 200
    for step in steps:
        span = by_name[step]
        assert span.parent is not None
        assert (span.parent.trace_id, span.parent.span_id) == (root.context.trace_id, root.context.span_id)
        if step in {"queue", "run"}:
            assert span.attributes is not None
            assert dict(span.attributes) == {"denge.model": "tiny", "denge.version": 1, "denge.rows": rows}


def post(app: Application, body: dict[str, Any]) -> bytes:
    """The response to a prediction that needs no ASGI."""

    async def play() -> bytes:
        async with asyncio.timeout(60), app.running():
            connection = Connection(app, Protocol)
            await connection.send(in_json(body, traceparent=TRACEPARENT))
            if connection.state.tasks:
                await asyncio.wait(connection.state.tasks)
            return connection.transport.written

    return asyncio.run(play())


RUN_AT_ONCE, RUN_IN_ITS_TURN = (1000.0, ("decode", "run", "encode")), (0.0, ("decode", "queue", "run", "encode"))


@pytest.mark.parametrize(("inline_ms", "steps"), [RUN_IN_ITS_TURN])
def test_a_request_by_asgi_is_traced(
    repository: Repository, exporter: InMemorySpanExporter, inline_ms: float, steps: tuple[str, ...]
) -> None:
    settings = Settings(repository=repository.root, traces="otlp", inline_ms=inline_ms)
    with TestClient(create_app(settings)) as client:
        answer = client.post(PATH, json=request(), headers={"traceparent": TRACEPARENT})

    assert answer.status_code == 200
    assert_a_prediction_was_traced(exporter.get_finished_spans(), *steps)


@pytest.mark.parametrize(("inline_ms", "steps"), [RUN_AT_ONCE, RUN_IN_ITS_TURN])
def test_a_plain_prediction_is_traced(
    repository: Repository, exporter: InMemorySpanExporter, inline_ms: float, steps: tuple[str, ...]
) -> None:
    app = create_app(Settings(repository=repository.root, traces="otlp", inline_ms=inline_ms))

    assert post(app, request()).startswith(b"HTTP/1.1 200")
    assert_a_prediction_was_traced(exporter.get_finished_spans(), *steps)


def test_the_steps_of_a_body_that_is_decoded_in_a_thread_are_below_its_request(
    repository: Repository, exporter: InMemorySpanExporter
) -> None:
    rows = 8192
    app = create_app(Settings(repository=repository.root, traces="otlp", inline_ms=0.0))

    answer = post(app, request([0.5] * 4 * rows, shape=[rows, 4]))

    assert answer.startswith(b"HTTP/1.1 200")
    assert_a_prediction_was_traced(exporter.get_finished_spans(), "decode", "queue", "run", "encode", rows=rows)


@pytest.mark.parametrize("rows", [2, 8192], ids=["on the event loop", "in a thread"])
def test_an_error_marks_its_step_without_its_message_and_its_event_in_the_log_has_the_trace(
    repository: Repository, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    def decode(*_: object) -> None:
        raise RuntimeError("private")

    monkeypatch.setattr(V2, "decode", decode)
    app = create_app(Settings(repository=repository.root, traces="otlp", log_format="console"))

    with structlog.testing.capture_logs([add_ids]) as events:
        assert post(app, request([0.5] * 4 * rows, shape=[rows, 4])).startswith(b"HTTP/1.1 500")

    decoding, root = exporter.get_finished_spans()
    assert decoding.attributes is not None
    assert decoding.attributes["error.type"] == "RuntimeError"
    assert not decoding.status.is_ok
    assert not root.status.is_ok
    assert "private" not in decoding.to_json() + root.to_json()
    in_request = [event for event in events if "request_id" in event]
    assert [event["event"] for event in in_request] == ["unexpected_error", "request"]
    assert {event["trace_id"] for event in in_request} == {TRACE}


def test_a_request_without_a_traceparent_or_with_a_wrong_one_begins_a_trace(
    repository: Repository, exporter: InMemorySpanExporter
) -> None:
    with TestClient(create_app(Settings(repository=repository.root, traces="otlp"))) as client:
        client.get("/v2")
        client.get("/v2", headers={"traceparent": "nonsense"})
        client.get("/nothing")

    spans = exporter.get_finished_spans()
    assert [span.parent for span in spans] == [None, None, None]
    assert [span.name for span in spans] == ["GET /v2", "GET /v2", "GET none"]
    assert len({span.context.trace_id for span in spans if span.context}) == 3


def test_nothing_is_traced_by_default(repository: Repository, exporter: InMemorySpanExporter) -> None:
    with TestClient(create_app(Settings(repository=repository.root))) as client:
        assert client.post(PATH, json=request(), headers={"traceparent": TRACEPARENT}).status_code == 200

    assert exporter.get_finished_spans() == ()


@pytest.mark.parametrize("status", [200, 400])
def test_spans_reach_a_collector_and_its_failure_no_client(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    with collecting(status) as (endpoint, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
        with TestClient(create_app(Settings(repository=repository.root, traces="otlp"))) as client:
            assert client.post(PATH, json=request()).status_code == 200

    resource = received[0].resource_spans[0]
    assert {a.key: a.value.string_value for a in resource.resource.attributes}["service.name"] == "mine"
    names = {span.name for part in received for r in part.resource_spans for s in r.scope_spans for span in s.spans}
    assert "POST /v2/models/{model}/infer" in names


class Hanging(SpanExporter):
    """A collector that does not answer until it is let."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.released = threading.Event()
        self.ended = threading.Event()

    def export(self, _spans: object) -> SpanExportResult:
        self.begun.set()
        self.released.wait(5)
        self.ended.set()
        return SpanExportResult.FAILURE


def test_a_collector_that_hangs_delays_neither_requests_nor_the_end(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, provider = Hanging(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(hanging, schedule_delay_millis=1))
    monkeypatch.setattr(tracing, "open_provider", lambda: provider)
    monkeypatch.setattr(tracing, "CLOSE_SECONDS", 0.0)
    with TestClient(create_app(Settings(repository=repository.root, traces="otlp"))) as client:
        client.get("/v2")
        assert hanging.begun.wait(30)
        statuses = [client.post(PATH, json=request()).status_code for _ in range(10)]

    assert statuses == [200] * 10
    assert not hanging.ended.is_set(), "something has waited for the collector"
    hanging.released.set()
    provider.shutdown()


def test_the_log_has_the_trace() -> None:
    lines: list[dict[str, Any]] = []
    span = TracerProvider().get_tracer("test").start_span("request")
    with in_request(span, ends=True):
        with_trace_id(lambda **fields: lines.append(fields))(path="/v2")

    with_trace_id(lambda **fields: lines.append(fields))(path="/v1")
    assert lines == [{"path": "/v2", "trace_id": f"{span.get_span_context().trace_id:032x}"}, {"path": "/v1"}]
