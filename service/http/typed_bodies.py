"""Bodies that the framework parses and validates: read, bounded and refused as all others are."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope

from service.http.bodies import read_body

MAX_BYTES = 1 << 16
"""Of a body that holds a few parameters."""


class TypedBodyRoute(APIRoute):
    """A route whose body, where the framework parses it, is JSON of at most `MAX_BYTES`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The framework's handler, which gets a body that has been read."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def handle_read(request: Request) -> Response:
            body = await read_body(request.scope, request.receive, MAX_BYTES)
            # `curl -d` states a form, and the framework would not parse that.
            headers = [header for header in request.scope["headers"] if header[0] != b"content-type"]
            scope = {**request.scope, "headers": [*headers, (b"content-type", b"application/json")]}
            return await handle(_ReadRequest(scope, request.receive, body))

        return handle_read


class _ReadRequest(Request):
    """A request whose body has been read.

    Args:
        scope, receive: of the request.
        body: of the request.
    """

    def __init__(self, scope: Scope, receive: Receive, body: bytes) -> None:
        super().__init__(scope, receive)
        self._read = body

    async def body(self) -> bytes:
        """The whole body."""
        return self._read
