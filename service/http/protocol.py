"""HTTP as uvicorn speaks it, except that a plain prediction is answered as soon as its last byte is there.

uvicorn makes a task of every request, and passes its parts to and fro as messages. For a small model that costs as
much as the model. Here the body is collected as it comes, and answered by one call of `service.http.predictions`.
Everything else is left to uvicorn, which is shown the request from its beginning: other requests and what waits in
line behind them, slow models, and bodies that are cut off, too long or too slow.
"""

import asyncio
from typing import Any

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from service.http.bodies import BEGAN, MAX_SECONDS
from service.http.predictions import Application, PlainRequest, Response
from service.http.proxies import Client

_CLOSE = (b"connection", b"close")


class Protocol(HttpToolsProtocol):
    """One connection.

    Args:
        config, server_state, app_state: of uvicorn. The application is an `Application`.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        assert isinstance(config.app, Application)  # noqa: S101
        self._plain = config.app.plain
        self._proxies = config.app.proxies
        self._peer: Client | None = None
        self._request: PlainRequest | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self._body_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected, or a proxy."""
        super().connection_made(transport)
        address = "" if self.client is None else self.client[0]
        if self._proxies.trusts(address):
            self._peer = Client(address, self.scheme or "http")

    def data_received(self, data: bytes) -> None:
        """Parse what has come."""
        super().data_received(data)
        if self._request is not None and self._body_timer is None:
            self._body_timer = self.loop.call_later(MAX_SECONDS, self._hand_over)

    def on_message_begin(self) -> None:
        """A request begins."""
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Decide who answers it."""
        self.url = self._proxies.local(self.url)
        if self._peer is not None:
            address, self.scheme = self._proxies.client(self._peer, self.headers)  # type: ignore[assignment]
            self.client = (address, 0) if address else None
        self._request = self._admit()
        if self._request is None:
            self._leave_to_uvicorn()

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        if self._request is None:
            super().on_body(body)
            return
        self._chunks.append(body)
        self._size += len(body)
        if self._size > self._plain.max_body_bytes:
            self._hand_over()

    def on_message_complete(self) -> None:
        """Answer the request."""
        request = self._request
        if request is None:
            super().on_message_complete()
            return
        response = self._plain.answer(request, self._take_body())
        if isinstance(response, Response):
            self._send(response)
            return
        self._leave_to_uvicorn(response)
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has disconnected."""
        self._hand_over()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The service stops. A request that has begun is still answered."""
        self._hand_over()
        super().shutdown()

    def _admit(self) -> PlainRequest | None:
        if self.parser.get_method() != b"POST" or not self.parser.should_keep_alive():
            return None
        if self.parser.get_http_version() != "1.1":
            return None
        # Answers keep the order of their requests, and wait for a client that does not read.
        if self.flow.write_paused or not (self.cycle is None or self.cycle.response_complete):
            return None
        return self._plain.admit(self.url, dict(self.headers), "" if self.client is None else self.client[0])

    def _take_body(self) -> bytes:
        """The body so far. No more of it is collected."""
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._request = None
        self._chunks = []
        self._size = 0
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None
        return body

    def _hand_over(self) -> None:
        """Leave a request whose body is still coming to uvicorn, if there is one."""
        if self._request is None:
            return
        began = self._request.start
        body = self._take_body()
        self._leave_to_uvicorn(began=began)
        super().on_body(body)

    def _leave_to_uvicorn(self, app: ASGIApp | None = None, began: float | None = None) -> None:
        """Show uvicorn the head of the request.

        Args:
            app: answers this request; the whole application when absent.
            began: when the body began to come, where a part of it has.
        """
        url, headers = self.url, self.headers
        super().on_message_begin()
        super().on_url(url)
        for name, value in headers:
            super().on_header(name, value)
        if began is not None:
            self.scope[BEGAN] = began  # type: ignore[literal-required]
        whole = self.app
        if app is not None:
            self.app = app
        try:
            super().on_headers_complete()
        finally:
            self.app = whole

    def _send(self, response: Response) -> None:
        parts = [STATUS_LINE[response.status]]
        for name, value in (*self.server_state.default_headers, *response.headers):
            parts += (name, b": ", value, b"\r\n")
        parts += (b"\r\n", response.body)
        self.transport.write(b"".join(parts))
        if _CLOSE in response.headers:
            self.transport.close()
        self.on_response_complete()
