"""Around every request: its id, its line in the log, its count, and an answer whatever happens inside."""

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from random import getrandbits
from time import perf_counter

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import INTERNAL
from service.http.errors import error_response
from service.telemetry import logs
from service.telemetry.statistics import ServiceStatistics

log = structlog.get_logger()

REQUEST_ID = b"x-request-id"
# A caller's id is repeated in the log and in the answer, so it may hold nothing that either would misread.
_ACCEPTED_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_METHODS = {"GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"}
_PROBES = {"/v2/health/live", "/v2/health/ready", "/metrics"}

current_scope: ContextVar[Scope] = ContextVar("scope")
"""The scope of the request that is being answered, for what is not handed it."""

ROUTE = "denge.route"
"""Where an application that answers without a router leaves the template of the path, in the scope."""


class RequestContext:
    """ASGI middleware.

    Args:
        app: what answers.
        statistics: where requests are counted.
        write: writes a request's line to the log.
    """

    def __init__(
        self, app: ASGIApp, statistics: ServiceStatistics, write: Callable[..., None] = logs.log_request
    ) -> None:
        self._app = app
        self._statistics = statistics
        self._write = write

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and see it through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = perf_counter()
        identity = request_id(dict(scope["headers"]))
        header = (REQUEST_ID, identity.encode("ascii"))
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        token = logs.request_id.set(identity)
        current_scope.set(scope)  # each request has a context of its own
        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:
            # Whatever it was, the caller gets an answer and the log the rest.
            log.error("unexpected_error", exc_info=error)
            if not status:
                await error_response(INTERNAL)(scope, receive, send_with_id)
        finally:
            # The route's template, not the path: a label for every path that callers invent would never end.
            route = str(scope.get(ROUTE) or getattr(scope.get("route"), "path", "none"))
            self.record(route, scope["method"], scope["path"], status, identity, perf_counter() - start)
            logs.request_id.reset(token)

    def record(self, route: str, method: str, path: str, status: int, identity: str, seconds: float) -> None:
        """Count a request that has been answered, and write its line."""
        counted = method if method in _METHODS else "other"
        self._statistics.requests[route, counted, status].add(seconds)
        if path not in _PROBES:
            self._write(
                method=method, path=path, status=status, milliseconds=round(seconds * 1e3, 3), request_id=identity
            )


def request_id(headers: Mapping[bytes, bytes]) -> str:
    """The caller's own, or a new one."""
    if (given := headers.get(REQUEST_ID)) and _ACCEPTED_ID.fullmatch(given):
        return str(given, "ascii")
    return f"{getrandbits(64):016x}"  # that nobody can guess it is not asked of it
