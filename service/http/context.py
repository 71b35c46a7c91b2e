"""Around every request that comes by ASGI: its id, its record, and a response whatever happens inside."""

import re
import sys
from collections.abc import Mapping
from functools import partial
from random import getrandbits
from time import perf_counter

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.errors import DengeError
from service.errors import INTERNAL
from service.http.access import client_address, local_path
from service.http.errors import error_response
from service.telemetry import logs
from service.telemetry.requests import RequestRecorder

log = structlog.get_logger()

REQUEST_ID = b"x-request-id"
# A client's id is repeated in the log and in the response, so it may hold nothing that either would misread.
_ACCEPTED_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")

ROUTE = "denge.route"
"""Key of the scope under which an application without a router leaves the template of the path."""


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
            await app(scope, receive, partial(_send_startup_failure, send))
            return
        start = perf_counter()
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

        token = logs.request_id.set(request_id)
        try:
            await app(scope, receive, send_with_id)
        except Exception as error:
            # Whatever it was, the client gets a response and the log the details.
            log.error("unexpected_error", exc_info=error)
            if not status:
                await error_response(INTERNAL)(scope, receive, send_with_id)
        finally:
            route = str(scope.get(ROUTE) or getattr(scope.get("route"), "path_format", "none"))
            seconds = perf_counter() - start
            address = client_address(scope)
            self.recorder.record(route, scope["method"], path, status, request_id, seconds, address)
            logs.request_id.reset(token)


async def _send_startup_failure(send: Send, message: Message) -> None:
    """Report an expected failure of the start in one line, in place of the framework's traceback."""
    error = sys.exc_info()[1]
    if message["type"] == "lifespan.startup.failed" and isinstance(error, DengeError | OSError):
        message["message"] = f"the service does not start: {error}"
    await send(message)


def choose_request_id(headers: Mapping[bytes, bytes]) -> str:
    """The id that the client has given, or a new one."""
    if (given := headers.get(REQUEST_ID)) and _ACCEPTED_ID.fullmatch(given):
        return str(given, "ascii")
    return f"{getrandbits(64):016x}"  # it need not be hard to guess
