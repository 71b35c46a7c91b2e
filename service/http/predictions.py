"""Predictions over HTTP: the handler's errors and answers as responses, by ASGI or without it."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter
from typing import NamedTuple

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from models.errors import ClientDisconnected, DengeError
from service.errors import INTERNAL, public_error
from service.host.codec_pool import CodecPool
from service.host.memory_budget import MemoryBudget
from service.http.addresses import Address, parse_url
from service.http.bodies import disconnected, read_body
from service.http.context import ERROR, ROUTE, RequestContext, choose_request_id
from service.http.framework import Framework
from service.http.health import HealthChecks
from service.http.lifespan import Running, run_lifespan
from service.http.limits import ConnectionLimits
from service.http.proxies import Proxies
from service.http.response import Response, from_error
from service.http.turns import Starts, Turns
from service.inference.dialect import Answer, Call
from service.inference.handler import Admitted, Handler, Prediction, Undecoded
from service.telemetry import logs

log = structlog.get_logger()

_OK = 200

Respond = Callable[[Response | ASGIApp], None]
"""Gets a response, or the ASGI application that gives it."""


async def respond(
    handler: Handler, call: Call, scope: Scope, receive: Receive, codec_pool: CodecPool, max_body_bytes: int
) -> Answer:
    """Answer a prediction whose body is still to be read.

    Raises:
        DengeError: the request is wrong, or cannot be answered now.
    """
    admitted = handler.admit(call)
    body = await read_body(scope, receive, max_body_bytes, codec_pool)
    return await handler.answer(admitted, body, partial(disconnected, receive))


class PlainRequest(NamedTuple):
    """A plain prediction whose body is still to come.

    Attributes:
        address: what its path names.
        admitted: by the handler.
        start: when its head was there, on the clock of `perf_counter`.
    """

    address: Address
    admitted: Admitted
    start: float


class PlainPredictions:
    """Answers plain predictions without ASGI: from the bytes of a body to those of a response. Health checks as well.

    Plain is a prediction whose body comes as it is, under a path without escapes and query. ASGI answers all others.

    Args:
        handler: answers them.
        context: of every request.
        health: answers health checks.
        has_origins: whether pages of other origins are allowed. Their requests are left to ASGI, which knows them.
    """

    def __init__(
        self, handler: Handler, context: RequestContext, health: HealthChecks, *, has_origins: bool = False
    ) -> None:
        self._health = health
        self._has_origins = has_origins
        self._handler = handler
        self._prepare = handler.prepare
        self._context = context

    def admit(
        self, method: bytes, url: bytes, headers: Mapping[bytes, bytes], client_address: str
    ) -> PlainRequest | Response | None:
        """Decide about a request before its body has come.

        Returns:
            The request, if it is plain; the response, if it is a prediction that is refused whatever its body is, or
            is a health check; None where ASGI is to answer it.
        """
        if self._has_origins and b"origin" in headers:
            return None
        if method != b"POST":
            return self._health.answer(method, url, headers, client_address)
        address = parse_url(url)
        if address is None:
            return None
        start = perf_counter()
        try:
            call = Call(address.dialect, address.model, address.version, headers, client_address)
            admitted = self._handler.admit(call)
        except Exception as error:  # noqa: BLE001 - as in `PendingPrediction`
            request_id = choose_request_id(headers)
            return self._context.finish(
                _failure(error, request_id),
                address.route,
                "POST",
                address.path,
                request_id,
                perf_counter() - start,
                client_address,
            )
        return None if b"content-encoding" in headers else PlainRequest(address, admitted, start)

    def submit(self, request: PlainRequest, body: bytes, respond: Respond) -> "PendingPrediction":
        """Answer a request when the event loop has read all sockets that had something.

        Args:
            request: from `admit`.
            body: all of it.
            respond: gets the response; or what gives it by ASGI, where the run or decoding would keep others waiting.
        """
        pending = PendingPrediction(self._handler, self._context, request, body, respond)
        self._prepare(pending.prepare)
        return pending


class PendingPrediction:
    """A plain prediction that has been read, and is still to be answered.

    Args:
        handler: answers it.
        context: of every request.
        request: without its body.
        body: of the request.
        respond: gets the response, or the ASGI application that gives it.
    """

    __slots__ = ("_body", "_context", "_handler", "_is_cancelled", "_request", "_request_id", "_respond", "_undone")

    def __init__(
        self, handler: Handler, context: RequestContext, request: PlainRequest, body: bytes, respond: Respond
    ) -> None:
        self._handler = handler
        self._context = context
        self._request = request
        self._request_id = choose_request_id(request.admitted.call.headers)
        self._body = body
        self._undone: Prediction | Undecoded | None = None
        self._respond = respond
        self._is_cancelled = False

    def prepare(self) -> None:
        """Decode the body, and submit the run."""
        if self._is_cancelled:
            return
        try:
            self._undone = self._handler.decode(self._request.admitted, self._body)
            if not self._handler.submit(self._undone, self._finish):
                self._finish(None)
        except Exception as error:  # noqa: BLE001 - whatever it was, the client gets a response and the log the details
            self._finish(error)

    def cancel(self) -> None:
        """Record that the client has disconnected. It gets no response."""
        self._is_cancelled = True
        self._record(_failure(ClientDisconnected("the client has disconnected"), self._request_id))

    def _finish(self, outcome: Answer | Exception | None) -> None:
        if outcome is None:
            assert self._undone is not None  # noqa: S101 - only what has been decoded, or is too large, is deferred
            deferred = _DeferredAnswer(self._handler, self._request.address, self._undone)
            self._respond(self._context.around(deferred))
        elif isinstance(outcome, Exception):
            self._respond(self._record(_failure(outcome, self._request_id)))
        else:
            self._respond(self._record(Response(_OK, *outcome)))

    def _record(self, response: Response) -> Response:
        address, admitted, start = self._request
        return self._context.finish(
            response,
            address.route,
            "POST",
            address.path,
            self._request_id,
            perf_counter() - start,
            admitted.call.address,
        )


class _DeferredAnswer:
    """ASGI application for one prediction whose body has been read.

    Args:
        handler: answers it.
        address: what its path names.
        request: from `Handler.decode`.
    """

    def __init__(self, handler: Handler, address: Address, request: Prediction | Undecoded) -> None:
        self._handler = handler
        self._address = address
        self._request = request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond when the model has run."""
        scope[ROUTE] = self._address.route
        try:
            answer = await self._handler.run(self._request, partial(disconnected, receive))
        except DengeError as error:
            response = from_error(public_error(error))
        else:
            response = Response(_OK, *answer)
        scope[ERROR] = response.error
        await response.send_by_asgi(send)


def _failure(error: Exception, request_id: str) -> Response:
    token = logs.request_id.set(request_id)
    try:
        if isinstance(error, DengeError):
            return from_error(public_error(error))
        log.error("unexpected_error", exc_info=error)
        return from_error(INTERNAL)
    finally:
        logs.request_id.reset(token)


class Application:
    """An ASGI application, and beside it what `service.http.protocol` needs to serve it.

    Args:
        app: responds to everything.
        framework: inside of `app`, with the routes.
        running: the context from the start to the stop.
        context: of every request.
        plain: answers plain predictions in the same way as `app`.
        limits: of every connection.
        bodies: memory for the bodies of all requests.
        proxies: in front of the service.
        optimize: optimises what was loaded quickly.
    """

    def __init__(
        self,
        app: ASGIApp,
        framework: Framework,
        running: Running,
        context: RequestContext,
        plain: PlainPredictions,
        limits: ConnectionLimits,
        bodies: MemoryBudget,
        proxies: Proxies,
        optimize: Callable[[], None] = lambda: None,
    ) -> None:
        self._app = app
        self._optimize = optimize
        self.framework = framework
        self.running = running
        self.context = context
        self.plain = plain
        self.limits = limits
        self.bodies = bodies
        self.proxies = proxies
        self.turns = Turns()
        self._starts = Starts()

    async def complete(self) -> None:
        """Do what was put off at the start, in threads: that of the predictions first, then what the routes need."""
        await asyncio.to_thread(self._optimize)
        await self.framework.open()
        await asyncio.to_thread(self.framework.prepare)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry point."""
        if scope["type"] == "lifespan":
            await run_lifespan(self.running, receive, send)
            return
        if scope["type"] == "http":
            await self._starts.wait()
        await self._app(scope, receive, send)
