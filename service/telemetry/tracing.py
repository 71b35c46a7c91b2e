"""Traces by OpenTelemetry, which come with the extra `otel`: what only a service with `--traces otlp` imports.

The exporter reads the standard OTEL_* variables: the endpoint, its headers, the sampling, the name of the service. It
sends in a thread of its own, from a bounded queue, and drops what does not fit: no request waits for it or fails by it.
The current span travels in OpenTelemetry's own context.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from models.version import VERSION

_PROPAGATOR = TraceContextTextMapPropagator()
_SERVER_ERROR = 500


def open_provider() -> TracerProvider:
    """A provider that exports to the collector which the environment names; `shutdown` sends what waits."""
    resource = Resource({"service.name": "denge", "service.version": VERSION}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def start_request(tracer: Tracer, headers: Mapping[bytes, bytes]) -> Span:
    """The span of a request, below the client's if it sent a valid `traceparent`."""
    carrier = {
        name: headers[name.encode()].decode("latin-1")
        for name in ("traceparent", "tracestate")
        if name.encode() in headers
    }
    return tracer.start_span("request", _PROPAGATOR.extract(carrier), SpanKind.SERVER)


def describe_request(route: str, method: str, status: int, request_id: str, client: str) -> None:
    """Name the current span after its request, once that has been answered."""
    span = trace.get_current_span()
    span.update_name(f"{method} {route}")
    span.set_attributes(
        {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
            "client.address": client,
            "denge.request_id": request_id,
        }
    )
    if status >= _SERVER_ERROR:
        span.set_status(Status(StatusCode.ERROR))


@contextmanager
def step(tracer: Tracer, name: str, **attributes: Any) -> Iterator[None]:
    """A span below that of the current request; none outside of a request."""
    if not trace.get_current_span().get_span_context().is_valid:
        yield
        return
    with tracer.start_as_current_span(name, attributes=attributes):
        yield


def add_step(tracer: Tracer, name: str, began: int, **attributes: Any) -> None:
    """A span below that of the current request, from `began`, in nanoseconds since 1970, until now."""
    if trace.get_current_span().get_span_context().is_valid:
        tracer.start_span(name, start_time=began, attributes=attributes).end()


def with_trace_id(write: Callable[..., None]) -> Callable[..., None]:
    """Let the line of a request have the id of its trace."""

    def write_with_trace_id(**fields: Any) -> None:
        context = trace.get_current_span().get_span_context()
        write(**fields, **({"trace_id": f"{context.trace_id:032x}"} if context.is_valid else {}))

    return write_with_trace_id
