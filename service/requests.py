"""Around every request: its id, its line in the log, its count, and an answer whatever happens inside."""

import re
import secrets
from time import perf_counter

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import errors
from service.metrics import Metrics

log = structlog.get_logger()

REQUEST_ID = "X-Request-ID"
_REQUEST_ID_HEADER = REQUEST_ID.lower().encode()
# A caller's id is repeated in the log and in the answer, so it may hold nothing that either would misread.
_ACCEPTED_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_PROBES = {"/v2/health/live", "/v2/health/ready", "/metrics"}


class RequestContext:
    """ASGI middleware.

    Args:
        app: what answers.
        metrics: where requests are counted.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and see it through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identity = _request_id(scope)
        start = perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                MutableHeaders(scope=message)[REQUEST_ID] = identity
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=identity):
            try:
                await self._app(scope, receive, send_with_id)
            except Exception as error:
                log.error("unexpected_error", exc_info=error)
                if not status:
                    await errors.error_answer(500, errors.INTERNAL)(scope, receive, send_with_id)
            finally:
                self._finish(scope, status, perf_counter() - start)

    def _finish(self, scope: Scope, status: int, seconds: float) -> None:
        # The route's template, not the path: a label for every path that callers invent would never end.
        route = getattr(scope.get("route"), "path", "none")
        self._metrics.requests.labels(route, _known_method(scope), status).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)
        level = log.debug if scope["path"] in _PROBES else log.info
        level(
            "request",
            method=scope["method"],
            path=scope["path"],
            status=status,
            milliseconds=round(seconds * 1e3, 3),
        )


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == _REQUEST_ID_HEADER and _ACCEPTED_ID.fullmatch(value):
            return str(value, "ascii")
    return secrets.token_hex(8)


def _known_method(scope: Scope) -> str:
    return (
        scope["method"] if scope["method"] in {"GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"} else "other"
    )
