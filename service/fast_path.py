"""Inference requests without the framework in between.

Routing, dependency injection and the exit stacks of FastAPI cost as much as a small model does. This recognises the
requests that matter for speed and answers them with the same code as the routes; every other request goes on to them.
"""

import re

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from models.errors import DengeError
from service import errors
from service.access import Guard
from service.requests import ROUTE
from service.routes.infer import DEFAULT_PATH, VERSION_PATH, Infer

_WHOLE_NUMBER = re.compile("[1-9][0-9]{0,8}")
_PREFIX, _SUFFIX = "/v2/models/", "/infer"


class FastPath:
    """ASGI middleware.

    Args:
        app: what answers everything else.
        infer: what answers inference requests.
        guard: knows who may predict.
    """

    def __init__(self, app: ASGIApp, infer: Infer, guard: Guard) -> None:
        self._app = app
        self._infer = infer
        self._guard = guard if guard.has_keys else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an inference request, or pass another one on."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        if not (path.startswith(_PREFIX) and path.endswith(_SUFFIX)):
            await self._app(scope, receive, send)
            return
        match path.split("/"):
            case [_, _, _, model, _]:
                scope[ROUTE], version = DEFAULT_PATH, None
            case [_, _, _, model, "versions", number, _] if _WHOLE_NUMBER.fullmatch(number):
                scope[ROUTE], version = VERSION_PATH, int(number)
            case _:
                await self._app(scope, receive, send)
                return
        try:
            if self._guard is not None:
                self._guard.require_key(scope["headers"])
            body, headers = await self._infer.answer(model, version, scope, receive)
        except DengeError as error:
            await errors.domain_error(Request(scope), error)(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
