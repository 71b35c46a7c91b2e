"""Spans of HTTP requests, by ASGI and without it."""

from collections.abc import Callable, Mapping
from contextvars import copy_context
from functools import partial

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer
from starlette.types import ASGIApp, Receive, Scope, Send

from models.version import VERSION
from service.http.context import RequestContext
from service.http.health import HealthChecks
from service.http.predictions import PendingPrediction, PlainPredictions, PlainRequest, Respond
from service.http.response import Response
from service.inference.batcher import Batcher
from service.inference.dialect import Dialect
from service.inference.handler import Handler
from service.inference.limits import Limits
from service.inference.short_runs import OnResult
from service.inference.tracing import TracedBatcher, TracedDialect
from service.telemetry.requests import RequestRecorder
from service.telemetry.statistics import ServiceStatistics
from service.telemetry.tracing import close_provider, describe_request, in_request, start_request, with_trace_id

_SPAN = "denge.span"
"""Key of the scope for the span of a request that has begun without ASGI."""


class TracedContext(RequestContext):
    """What every request gets, and a span.

    Args:
        recorder: records the requests, in their spans as well.
        tracer: makes the spans.
    """

    def __init__(self, recorder: RequestRecorder, tracer: Tracer) -> None:
        super().__init__(recorder)
        self._tracer = tracer

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Let an application respond to one request."""
        if scope["type"] != "http":
            await super().run(app, scope, receive, send)
            return
        span = scope.pop(_SPAN, None) or start_request(self._tracer, dict(scope["headers"]))
        with in_request(span, ends=True):
            await super().run(app, scope, receive, send)


class TracedPredictions(PlainPredictions):
    """Answers plain predictions as `PlainPredictions`, each in a span.

    Args:
        tracer: makes the spans.
        handler, context, health, has_origins: as there.
    """

    def __init__(
        self,
        tracer: Tracer,
        handler: Handler,
        context: RequestContext,
        health: HealthChecks,
        *,
        has_origins: bool = False,
    ) -> None:
        super().__init__(handler, context, health, has_origins=has_origins)
        self._prepare = lambda preparation: handler.prepare(partial(copy_context().run, preparation))
        self._tracer = tracer

    def admit(
        self, method: bytes, url: bytes, headers: Mapping[bytes, bytes], client_address: str
    ) -> PlainRequest | Response | None:
        """Decide about a request. What is answered now has a span; that of a prediction begins in `submit`."""
        span = start_request(self._tracer, headers)
        with in_request(span, ends=False):
            decided = super().admit(method, url, headers, client_address)
        if isinstance(decided, Response):
            span.end()  # of others it is dropped
        return decided

    def submit(self, request: PlainRequest, body: bytes, respond: Respond) -> PendingPrediction:
        """Answer a request, or leave it and its span to ASGI."""
        span = start_request(self._tracer, request.admitted.call.headers)

        def end_span(response: Response | ASGIApp) -> None:
            if isinstance(response, Response):
                span.end()
                respond(response)
                return

            async def respond_in_span(scope: Scope, receive: Receive, send: Send) -> None:
                scope[_SPAN] = span
                await response(scope, receive, send)

            respond(respond_in_span)

        with in_request(span, ends=False):
            return super().submit(request, body, end_span)


class Tracing:
    """Makes the parts of a service that traces its requests.

    Args:
        provider: exports the spans.

    Attributes:
        tracer: makes the spans.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self.tracer = provider.get_tracer("denge", VERSION)

    def batcher(self, statistics: ServiceStatistics, limits: Limits, on_result: OnResult) -> Batcher:
        """Runs models."""
        return TracedBatcher(self.tracer, statistics, limits, on_result)

    def dialects(self, dialects: Mapping[str, Dialect]) -> dict[str, Dialect]:
        """Read and write predictions."""
        return {name: TracedDialect(self.tracer, dialect) for name, dialect in dialects.items()}

    def context(self, statistics: ServiceStatistics, write: Callable[..., None]) -> RequestContext:
        """What every request gets."""
        return TracedContext(RequestRecorder(statistics, with_trace_id(write), describe_request), self.tracer)

    def plain_predictions(
        self, handler: Handler, context: RequestContext, health: HealthChecks, *, has_origins: bool
    ) -> PlainPredictions:
        """Answers plain predictions, and health checks."""
        return TracedPredictions(self.tracer, handler, context, health, has_origins=has_origins)

    def close(self) -> None:
        """Export what waits, as far as the collector takes it in time."""
        close_provider(self._provider)
