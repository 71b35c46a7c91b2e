"""Traces by OpenTelemetry, which come with the extra `otel`: what only a service with `--traces otlp` imports.

The exporter reads the standard OTEL_* variables: the endpoint, its headers, the sampling, the name of the service. It
sends in a thread of its own, from a bounded queue, and drops what does not fit: no request waits for it or fails by it.
The current span travels in OpenTelemetry's own context.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Thread
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from models.version import VERSION
from service.telemetry import logs
from service.telemetry.requests import GRPC

CLOSE_SECONDS = 5.0
"""How long the service waits at its end for the collector. What has not been sent by then is dropped."""

_PROPAGATOR = TraceContextTextMapPropagator()
_SERVER_ERROR = 500


def open_provider() -> TracerProvider:
    """A provider that exports to the collector which the environment names."""
    resource = Resource({"service.name": "denge", "service.version": VERSION}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def close_provider(provider: TracerProvider) -> None:
    """Export what waits, as far as the collector takes it within `CLOSE_SECONDS`."""
    closing = Thread(name="traces-close", target=provider.shutdown, daemon=True)
    closing.start()
    closing.join(CLOSE_SECONDS)


def start_request(tracer: Tracer, headers: Mapping[bytes, bytes]) -> Span:
    """The span of a request, below the client's if it sent a valid `traceparent`."""
    carrier = {
        name: headers[name.encode()].decode("latin-1")
        for name in ("traceparent", "tracestate")
        if name.encode() in headers
    }
    return tracer.start_span("request", _PROPAGATOR.extract(carrier), SpanKind.SERVER)


@contextmanager
def in_request(span: Span, *, ends: bool) -> Iterator[None]:
    """Let a span be that of the current request: steps are below it, and what is logged has the id of its trace.

    Args:
        span: of the request.
        ends: whether the span ends here.
    """
    token = logs.trace_id.set(f"{span.get_span_context().trace_id:032x}")
    try:
        with trace.use_span(span, end_on_exit=ends, record_exception=False, set_status_on_exception=False):
            yield
    finally:
        logs.trace_id.reset(token)


def describe_request(route: str, method: str, status: int, request_id: str, client: str) -> None:
    """Name the current span after its request, once that has been answered: see `RequestRecorder.record`."""
    span = trace.get_current_span()
    if method == GRPC:
        span.update_name(route.removeprefix("/"))
        service, _, name = route.removeprefix("/").partition("/")
        span.set_attributes({"rpc.system": "grpc", "rpc.service": service, "rpc.method": name})
    else:
        span.update_name(f"{method} {route}")
        span.set_attributes({"http.request.method": method, "http.route": route, "http.response.status_code": status})
    span.set_attributes({"client.address": client, "denge.request_id": request_id})
    if status >= _SERVER_ERROR:
        span.set_status(Status(StatusCode.ERROR))


@contextmanager
def step(tracer: Tracer, name: str, **attributes: Any) -> Iterator[None]:
    """A span below that of the current request; none outside of a request."""
    if not trace.get_current_span().get_span_context().is_valid:
        yield
        return
    span = tracer.start_span(name, attributes=attributes)
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield
        except BaseException as error:
            _fail(span, error)
            raise


def add_step(
    tracer: Tracer,
    name: str,
    began: int,
    ended: int,
    attributes: Mapping[str, str | int],
    error: BaseException | None = None,
) -> None:
    """A span below that of the current request that has ended already; none outside of a request.

    Args:
        tracer, name: of the span.
        began, ended: nanoseconds since 1970.
        attributes: of the span.
        error: that has ended it.
    """
    if trace.get_current_span().get_span_context().is_valid:
        span = tracer.start_span(name, start_time=began, attributes=attributes)
        if error is not None:
            _fail(span, error)
        span.end(ended)


def _fail(span: Span, error: BaseException) -> None:
    """Mark a span as failed. The message of an error may quote inputs, so no span has it."""
    span.set_attribute("error.type", type(error).__name__)
    span.set_status(Status(StatusCode.ERROR))


def with_trace_id(write: Callable[..., None]) -> Callable[..., None]:
    """Let the line of a request have the id of its trace."""

    def write_with_trace_id(**fields: Any) -> None:
        identity = logs.trace_id.get(None)
        write(**fields, **({"trace_id": identity} if identity else {}))

    return write_with_trace_id
