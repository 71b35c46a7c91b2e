"""The framework's application, which has the routes: built after the port is open."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from types import FunctionType
from typing import TYPE_CHECKING

from starlette.types import Receive, Scope, Send

if TYPE_CHECKING:
    from fastapi import FastAPI  # slow to import


class Framework:
    """ASGI application that is built by its first request, if not before.

    To import the framework and to build its routes takes longer than to load a small model, and plain predictions need
    neither. Requests that come before it is built wait for it.

    Args:
        build: builds the application, with a function `state.prepare`.
        open_parts: starts the parts that its routes work with; it is called before the first request, and may be again.
    """

    def __init__(self, build: Callable[[], "FastAPI"], open_parts: Callable[[], Awaitable[None]]) -> None:
        self._build = build
        self._open_parts = open_parts
        self._is_open = False
        self._one_at_a_time = threading.Lock()
        self._built: FastAPI | None = None

    def build(self) -> "FastAPI":
        """The application, which the first call builds. Safe to call from any thread."""
        with self._one_at_a_time:
            if self._built is None:
                self._built = self._build()
            return self._built

    def prepare(self) -> None:
        """Build it, and make and import what its first requests would wait for."""
        app = self.build()
        import_threads()
        app.state.prepare()

    async def open(self) -> "FastAPI":
        """The application, which is built in a thread, when the parts that it needs have been started."""
        await self._open_parts()
        app = await asyncio.to_thread(self.build)
        self._is_open = True
        return app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry point."""
        app = self._built if self._is_open else None
        app = app or await self.open()
        await app(scope, receive, send)


def find_endpoints(app: "FastAPI") -> None:
    """Tell the framework where the endpoints are defined, which its error messages name.

    At the first request to each of them it would look for the file on the event loop, and read it.
    """
    from fastapi import routing  # noqa: PLC0415 - slow to import
    from fastapi.exceptions import EndpointContext  # noqa: PLC0415

    for route in routing.iter_route_contexts(app.routes):
        endpoint = getattr(route, "endpoint", None)
        if isinstance(endpoint, FunctionType):
            code = endpoint.__code__
            routing._endpoint_context_cache[id(endpoint)] = EndpointContext(  # noqa: SLF001 - it has no other way
                file=code.co_filename, line=code.co_firstlineno, function=endpoint.__name__
            )


def import_threads() -> None:
    """Have the framework import what its threads need: at the first request that uses one, it would take 50 ms."""
    from fastapi.concurrency import run_in_threadpool  # noqa: PLC0415 - slow to import

    asyncio.run(run_in_threadpool(int))
