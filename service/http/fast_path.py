"""Inference requests without the framework in between.

Routing, dependency injection and the exit stacks of FastAPI cost as much as a small model does. This recognises the
requests that matter for speed and answers them with the same code as the routes; every other request goes on to them.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from models.errors import DengeError
from service.errors import public_error
from service.http.context import ROUTE
from service.http.errors import error_response
from service.routes.infer import DEFAULT_PATH, VERSION_PATH, Infer

_WHOLE_NUMBER = re.compile("[1-9][0-9]{0,8}")
_PREFIX, _SUFFIX = "/v2/models/", "/infer"


class Address(NamedTuple):
    """What the path of an inference request names.

    Attributes:
        path: itself.
        route: its template.
        model: whatever stands in its place.
        version: None for the default one.
    """

    path: str
    route: str
    model: str
    version: int | None


def address(path: str) -> Address | None:
    """Read a path. None where it is not that of an inference request, or not quite."""
    if not (path.startswith(_PREFIX) and path.endswith(_SUFFIX)):
        return None
    match path.split("/"):
        case [_, _, _, model, _]:
            return Address(path, DEFAULT_PATH, model, None)
        case [_, _, _, model, "versions", number, _] if _WHOLE_NUMBER.fullmatch(number):
            return Address(path, VERSION_PATH, model, int(number))
        case _:
            return None


@lru_cache(maxsize=256)
def plain_address(url: bytes) -> Address | None:
    """The same of a URL as it was sent, where it is nothing but a path without escapes."""
    if len(url) > 256 or b"%" in url or b"?" in url or not url.isascii():
        return None
    return address(url.decode("ascii"))


class FastPath:
    """ASGI middleware.

    Args:
        app: what answers everything else.
        infer: what answers inference requests.
    """

    def __init__(self, app: ASGIApp, infer: Infer) -> None:
        self._app = app
        self._infer = infer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an inference request, or pass another one on."""
        asked = address(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if asked is None:
            await self._app(scope, receive, send)
            return
        scope[ROUTE] = asked.route
        try:
            answer = await self._infer.respond(asked.model, asked.version, scope, receive)
        except DengeError as error:
            await error_response(public_error(error))(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})
