"""Around every request that comes by ASGI: its id, its record, and a response whatever happens inside."""

import re
from collections.abc import Mapping
from functools import partial
from random import getrandbits
from time import perf_counter

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import INTERNAL, PublicError
from service.http.addresses import parse_url
from service.http.response import Response, from_error
from service.http.scopes import client_address, local_path
from service.telemetry import logs
from service.telemetry.requests import RequestRecorder

log = structlog.get_logger()

REQUEST_ID = b"x-request-id"
# A client's id is repeated in the log and in the response, so it may hold nothing that either would misread.
_ACCEPTED_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")

_NO_ROUTE = "none"
_MAX_LOGGED_URL_BYTES = 256

ROUTE = "denge.route"
"""Key of the scope under which an application without a router leaves the template of the path."""

ERROR = "denge.error"
"""Key of the scope under which an application leaves what the response says is wrong, for the log."""


class RequestContext:
    """What every request gets, whichever application responds to it.

    Args:
        recorder: records the requests.
    """

    def __init__(self, recorder: RequestRecorder) -> None:
        self.recorder = recorder

    def around(self, app: ASGIApp) -> ASGIApp:
        """ASGI middleware around an application."""
        return partial(self.run, app)

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Let an application respond to one request."""
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        start = perf_counter()
        method = scope["method"]
        is_head = method == "HEAD"  # answered like GET, without the body
        if is_head:
            scope = {**scope, "method": "GET"}
        request_id = choose_request_id(dict(scope["headers"]))
        header = (REQUEST_ID, request_id.encode("ascii"))
        path = local_path(scope)  # before a router changes it
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                message["headers"] = [*message.get("headers", ()), header]
                await send(message)
                if is_head:
                    await send({"type": "http.response.body", "body": b""})
            elif not is_head:
                await send(message)

        token = logs.request_id.set(request_id)
        try:
            await app(scope, receive, send_with_id)
        except Exception as error:
            # Whatever it was, the client gets a response and the log the details.
            log.error("unexpected_error", exc_info=error)
            scope[ERROR] = INTERNAL.message
            if not status:
                await from_error(INTERNAL).send_by_asgi(send_with_id)
        finally:
            route = str(scope.get(ROUTE) or getattr(scope.get("route"), "path_format", _NO_ROUTE))
            seconds = perf_counter() - start
            client = client_address(scope)
            self.recorder.record(route, method, path, status, request_id, seconds, client, scope.get(ERROR, ""))
            logs.request_id.reset(token)

    def refuse(
        self, error: PublicError, method: str, url: bytes, headers: Mapping[bytes, bytes], client: str
    ) -> Response:
        """The response to a request that no application sees.

        Args:
            error: why.
            method, url, headers: of the request, as far as they have come.
            client: network address of the client.
        """
        request_id = choose_request_id(headers)
        address = parse_url(url)
        route = _NO_ROUTE if address is None else address.route
        path = url.partition(b"?")[0][:_MAX_LOGGED_URL_BYTES].decode("latin-1")
        return self.finish(from_error(error), route, method, path, request_id, 0.0, client)

    def finish(
        self, response: Response, route: str, method: str, path: str, request_id: str, seconds: float, client: str
    ) -> Response:
        """Record a request that is answered without ASGI. Returns the response, with the request's id.

        Args:
            response: is sent.
            route, method, path, request_id, seconds, client: as in `RequestRecorder.record`.
        """
        self.recorder.record(route, method, path, response.status, request_id, seconds, client, response.error)
        response.headers.append((REQUEST_ID, request_id.encode("ascii")))
        return response


def choose_request_id(headers: Mapping[bytes, bytes]) -> str:
    """The id that the client has given, or a new one."""
    if (given := headers.get(REQUEST_ID)) and _ACCEPTED_ID.fullmatch(given):
        return str(given, "ascii")
    return getrandbits(64).to_bytes(8).hex()  # it need not be hard to guess
