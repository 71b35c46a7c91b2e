"""Passes requests on to the control process as they come, and its answers back as they come."""

import asyncio
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import httptools
import structlog
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.errors import NotReady
from service.errors import public_error
from service.http.access import client_address, local_path
from service.http.errors import error_response
from service.http.proxies import WORKER_HEADER

log = structlog.get_logger()

# Headers of one connection. There are two here: the client's, and the one to the control process.
_OF_THE_CONNECTION = {b"connection", b"expect", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade"}
_NOT_FORWARDED = _OF_THE_CONNECTION | {WORKER_HEADER}
_TRANSFER_ENCODING = b"transfer-encoding"
_CHUNK_BYTES = 1 << 16


class Forward:
    """ASGI application.

    Bodies stream both ways at once. When the client disconnects, so does this; a response that the control process does
    not finish stays unfinished for the client. Every request has a connection of its own, which costs little on a unix
    socket and cannot go stale.

    Args:
        path: the control process's unix socket.
        unreachable: answers while the control process does not.
    """

    def __init__(self, path: Path, unreachable: ASGIApp) -> None:
        self._path = str(path)
        self._unreachable = unreachable

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward one request."""
        loop = asyncio.get_running_loop()
        answer = _Answer(scope["method"])
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as connection:
            try:
                await loop.sock_connect(connection, self._path)
            except OSError:
                await self._unreachable(scope, receive, send)
                return
            sending = loop.create_task(_send_request(connection, scope, receive))
            try:
                while not answer.complete and (data := await _receive_some(connection)):
                    for message in answer.feed(data):
                        await send(message)
                client_disconnected = sending.done()
            finally:
                sending.cancel()
                await asyncio.wait([sending])
                answer.close()
        if answer.complete or client_disconnected:
            return
        log.error("forwarding_failed", path=scope["path"], begun=answer.begun)
        if not answer.begun:
            await self._unreachable(scope, receive, send)


class ForwardOthers:
    """ASGI application: responds to the requests of some routes, and forwards all others.

    Args:
        here: responds to the requests of these routes.
        routes: those whose paths are not forwarded.
        forward: forwards a request.
    """

    def __init__(self, here: ASGIApp, routes: Iterable[BaseRoute], forward: ASGIApp) -> None:
        self._here = here
        self._paths = [route.path_regex for route in routes if isinstance(route, Route)]
        self._forward = forward

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond, or forward."""
        here = scope["type"] != "http" or any(path.match(local_path(scope)) for path in self._paths)
        await (self._here if here else self._forward)(scope, receive, send)


async def unavailable(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI application: responds to everything that the service cannot answer this now."""
    error = NotReady("the service cannot answer this now: try again")
    await error_response(public_error(error))(scope, receive, send)


async def _send_request(connection: socket.socket, scope: Scope, receive: Receive) -> None:
    """Send the whole request; then wait until the client disconnects, and disconnect."""
    loop = asyncio.get_running_loop()
    headers = [(name, value) for name, value in scope["headers"] if name not in _NOT_FORWARDED]
    client = f"{scope.get('scheme', 'http')} {client_address(scope)}"
    headers.append((WORKER_HEADER, client.encode("ascii")))
    chunked = any(name == _TRANSFER_ENCODING for name, _ in headers)
    with suppress(ConnectionError):  # the answer has come before the end of the body, and says why
        await loop.sock_sendall(connection, _head(scope, headers))
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                _disconnect(connection)
                return
            body, more = message.get("body", b""), message.get("more_body", False)
            if chunked:
                body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
            await loop.sock_sendall(connection, body)
    while (await receive())["type"] != "http.disconnect":
        pass
    _disconnect(connection)


def _head(scope: Scope, headers: list[tuple[bytes, bytes]]) -> bytes:
    target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    lines = [b"%b %b HTTP/1.1" % (scope["method"].encode("ascii"), target)]
    return b"\r\n".join((*lines, *(b"%b: %b" % header for header in headers), b"", b""))


async def _receive_some(connection: socket.socket) -> bytes:
    """Nothing at the end, orderly or not."""
    try:
        return await asyncio.get_running_loop().sock_recv(connection, _CHUNK_BYTES)
    except ConnectionError:
        return b""


def _disconnect(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Answer:
    """From bytes to ASGI messages. The methods that begin with `on_` are called by the parser.

    Args:
        method: of the request; an answer to HEAD has the headers of a body, and none.
    """

    def __init__(self, method: str) -> None:
        self.begun = False
        self.complete = False
        self._bodiless = method == "HEAD"
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._messages: list[Message] = []

    def feed(self, data: bytes) -> list[Message]:
        """The messages that these bytes complete."""
        self._parser.feed_data(data)
        messages, self._messages = self._messages, []
        return messages

    def close(self) -> None:
        """Drop the parser. It refers to this, so that only the garbage collector would free the two."""
        del self._parser

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        if name.lower() != _TRANSFER_ENCODING:  # the client's connection has a framing of its own
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """All headers."""
        self.begun = True
        status = self._parser.get_status_code()
        self._messages.append({"type": "http.response.start", "status": status, "headers": self._headers})
        if self._bodiless:
            self.on_message_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._messages.append({"type": "http.response.body", "body": body, "more_body": True})

    def on_message_complete(self) -> None:
        """The end of the answer."""
        if not self.complete:
            self.complete = True
            self._messages.append({"type": "http.response.body", "body": b"", "more_body": False})
