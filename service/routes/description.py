"""GET /openapi.json: the description of the API."""

import asyncio
import threading

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

    Making it takes half a second, and writing it as long as ten predictions. So it is made once, in a thread: by the
    server when it has started, or by a request that comes before. While a thread computes in Python, each connection
    that is accepted waits for the interpreter; were it made when it is first asked for, a client could choose when.

    Args:
        app: with all of its routes.
        root_path: beginning of the paths that clients use; empty if there is none.
    """

    def __init__(self, app: FastAPI, root_path: str = "") -> None:
        self._app = app
        self._root_path = root_path
        self._one_at_a_time = threading.Lock()
        self._made: bytes | None = None

    def make(self) -> bytes:
        """The description, which the first call makes. Safe to call from any thread."""
        with self._one_at_a_time:
            if self._made is None:
                self._made = _make(self._app, self._root_path)
            return self._made

    async def respond(self, _request: Request) -> Response:
        """Respond with it."""
        made = await asyncio.to_thread(self.make) if self._made is None else self._made
        return Response(made, media_type="application/json")


def install(app: FastAPI, root_path: str = "") -> Description:
    """Have an application serve its description in this way, in place of the framework's own."""
    routes = app.router.routes
    place = next(index for index, route in enumerate(routes) if getattr(route, "path", None) == app.openapi_url)
    assert app.openapi_url is not None  # noqa: S101 - or there would be no such route
    description = Description(app, root_path)
    routes[place] = Route(app.openapi_url, description.respond, include_in_schema=False)
    return description


def _make(app: FastAPI, root_path: str) -> bytes:
    described = app.openapi()
    app.openapi_schema = None  # the framework would keep some megabytes
    add_schemas(described)
    add_error_examples(described)
    add_needs(described)
    return orjson.dumps({"servers": [{"url": root_path}], **described} if root_path else described)
