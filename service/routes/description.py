"""GET /openapi.json: the description of the API."""

import asyncio
from functools import partial

import orjson
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.routes.error_examples import add_error_examples
from service.routes.example_needs import add_needs
from service.routes.openapi import add_schemas


class Description:
    """The description of an application, as bytes.

    Making it takes most of a second, and writing it as long as ten predictions. So the first request for it has it made
    in a thread, once.

    Args:
        app: with all of its routes.
        root_path: beginning of the paths that clients use; empty if there is none.
    """

    def __init__(self, app: FastAPI, root_path: str = "") -> None:
        self._make = partial(_make, app, root_path)
        self._making: asyncio.Task[bytes] | None = None

    async def respond(self, _request: Request) -> Response:
        """Respond with it."""
        if self._making is None:
            self._making = asyncio.create_task(asyncio.to_thread(self._make))
        return Response(await asyncio.shield(self._making), media_type="application/json")


def install(app: FastAPI, root_path: str = "") -> None:
    """Have an application serve its description in this way, in place of the framework's own."""
    routes = app.router.routes
    place = next(index for index, route in enumerate(routes) if getattr(route, "path", None) == app.openapi_url)
    assert app.openapi_url is not None  # noqa: S101 - or there would be no such route
    routes[place] = Route(app.openapi_url, Description(app, root_path).respond, include_in_schema=False)


def _make(app: FastAPI, root_path: str) -> bytes:
    described = app.openapi()
    add_schemas(described)
    add_error_examples(described)
    add_needs(described)
    return orjson.dumps({"servers": [{"url": root_path}], **described} if root_path else described)
