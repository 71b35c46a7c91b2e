"""Spans of gRPC calls."""

import asyncio
from collections.abc import Awaitable, Callable

import grpc
from opentelemetry.trace import Tracer

from service.access import Guard
from service.grpc.calls import Access, Calls, Client, Context
from service.host.memory_budget import MemoryBudget
from service.telemetry.requests import RequestRecorder
from service.telemetry.tracing import in_request, start_request


class TracedCalls(Calls):
    """Makes handlers of gRPC as `Calls`. Each call is a span; that of a stream is as long as the stream.

    Args:
        tracer: makes the spans.
        guard, recorder, bodies, body_seconds: as there.
    """

    def __init__(
        self, tracer: Tracer, guard: Guard, recorder: RequestRecorder, bodies: MemoryBudget, body_seconds: float
    ) -> None:
        super().__init__(guard, recorder, bodies, body_seconds)
        self._tracer = tracer

    async def run(
        self, path: str, access: Access, context: Context, answer: Callable[[Client], Awaitable[bytes]]
    ) -> bytes:
        """Answer one call."""
        span = start_request(self._tracer, Client(context).headers)
        with in_request(span, ends=True):
            try:
                return await super().run(path, access, context, answer)
            except asyncio.CancelledError:
                context.set_code(grpc.StatusCode.CANCELLED)
                raise
            finally:
                code = context.code() or grpc.StatusCode.OK  # type: ignore[unreachable]  # the stubs leave None out
                span.set_attribute("rpc.grpc.status_code", code.value[0])
