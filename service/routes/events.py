"""Events of the service as a stream of server-sent events."""

import asyncio
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Response
from starlette.types import Receive, Scope, Send

from service.access import Guard
from service.http.access import PUBLIC
from service.http.bodies import disconnected
from service.http.scopes import client_address
from service.routes.openapi import api_router, error_responses
from service.watching.alarms.events import Events
from service.watching.alarms.subscriber import Subscriber

_EXAMPLE = """\
event: statistics
data: {"time":"2026-01-02T03:04:05Z","pending":0,"models":[{"model":"mlp","version":"1","requests":120,"rows":120,\
"requests_per_second":40.0,"rows_per_second":40.0,"p50_ms":0.4,"p99_ms":0.9}]}

event: drift
data: {"model":"mlp","version":"1","alarm":true,"verdict":"covariate_shift","message":"The layers meet something else",\
"time":"2026-01-02T03:04:05Z","rows":256,"statistic":41.2,"threshold":4.4,"symmetric_kl":1.9,"wasserstein":1.1,\
"layers":{"hidden.0.norm":1.9}}

event: auto
data: {"model":"mlp","time":"2026-01-02T03:14:05Z","step":"canary","version":"2","reason":"256 rows compared"}

"""
_EVENT_SCHEMA = {
    "title": "Event",
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"enum": ["statistics", "drift", "auto"]},
        "data": {"type": "string", "description": "A JSON object."},
    },
}
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Event `statistics`, every second: requests, rows and latencies of each version. Event `drift`: "
        "a drift alarm has begun or ended. Event `auto`: auto mode has taken a step. The stream ends when the service "
        "stops, or if the client reads too slowly.",
        "content": {"text/event-stream": {"schema": _EVENT_SCHEMA, "example": _EXAMPLE}},
    }
}
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back until its buffer is full
}

CLOSE_TIMEOUT = 1.0
"""Seconds that a client has to read the end of the stream."""


class _Stream(Response):
    """The events of a subscriber, until the client disconnects or the subscriber is closed.

    Args:
        events: to subscribe to.
        guard: knows the clients.
    """

    media_type = "text/event-stream"

    def __init__(self, events: Events, guard: Guard) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._events = events
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send."""
        headers = scope["headers"]
        client = self._guard.identify(headers, client_address(scope))
        with self._events.subscribe(client, is_operator=self._guard.is_operator(headers)) as subscriber:
            disconnect = asyncio.ensure_future(disconnected(receive))
            closed = asyncio.ensure_future(subscriber.wait_closed())
            tasks = [disconnect, closed, asyncio.ensure_future(self._send_events(subscriber, send))]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
        if disconnect.cancelled():
            with suppress(TimeoutError):  # the client does not read
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await send({"type": "http.response.body", "body": b""})

    async def _send_events(self, subscriber: Subscriber, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        while True:
            await send({"type": "http.response.body", "body": await subscriber.next(), "more_body": True})


def router(events: Events, guard: Guard) -> APIRouter:
    """The stream of events."""
    routes = api_router("watch", PUBLIC)

    @routes.get(
        "/v2/events",
        summary="Stream of events",
        response_class=Response,
        responses=_STREAM | error_responses(503),
    )
    async def stream_events() -> Response:
        """Server-sent events: statistics of each version every second, drift alarms, steps of auto mode."""
        return _Stream(events, guard)

    return routes
