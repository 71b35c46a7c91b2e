"""HTTP as uvicorn speaks it, except that a plain inference request is answered as soon as its last byte is there.

uvicorn makes a task of every request, and passes its parts to and fro as messages. For a small model that costs as
much as the model. Here the body is collected as it comes, and answered by one call of `service.http.direct`.
Everything else is left to uvicorn, which is shown the request from its beginning: other requests and what waits in
line behind them, slow models, and bodies that are cut off, too long or too slow.
"""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from service.http.bodies import BEGAN, MAX_SECONDS
from service.http.direct import Admitted, Answer, Application
from service.routes.infer import PREDICTION

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
        self._direct = config.app.direct
        self._admitted: Admitted | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self._overdue: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Parse what has come."""
        super().data_received(data)
        if self._admitted is not None and self._overdue is None:
            self._overdue = self.loop.call_later(MAX_SECONDS, self._hand_over)

    def on_message_begin(self) -> None:
        """A request begins."""
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Decide who answers it."""
        self._admitted = self._admit()
        if self._admitted is None:
            self._leave_to_uvicorn({})

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        if self._admitted is None:
            super().on_body(body)
            return
        self._chunks.append(body)
        self._size += len(body)
        if self._size > self._direct.max_body_bytes:
            self._hand_over()

    def on_message_complete(self) -> None:
        """Answer."""
        admitted = self._admitted
        if admitted is None:
            super().on_message_complete()
            return
        body = self._collected()
        answer = self._direct.answer(admitted, body)
        if isinstance(answer, Answer):
            self._send(answer)
            return
        self._leave_to_uvicorn({PREDICTION: answer})
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._hand_over()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The service stops: a request that has begun is still answered."""
        self._hand_over()
        super().shutdown()

    def _admit(self) -> Admitted | None:
        if self.parser.get_method() != b"POST" or not self.parser.should_keep_alive():
            return None
        if self.parser.get_http_version() != "1.1":
            return None
        # Answers keep the order of their requests, and wait for a client that does not read.
        if self.flow.write_paused or not (self.cycle is None or self.cycle.response_complete):
            return None
        return self._direct.admit(self.url, dict(self.headers))

    def _collected(self) -> bytes:
        """The body so far, which is no longer collected."""
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._admitted = None
        self._chunks = []
        self._size = 0
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None
        return body

    def _hand_over(self) -> None:
        """Leave a request to uvicorn whose body is still coming, if there is one."""
        if self._admitted is None:
            return
        began = self._admitted.start
        body = self._collected()
        self._leave_to_uvicorn({BEGAN: began})
        super().on_body(body)

    def _leave_to_uvicorn(self, known: dict[str, Any]) -> None:
        """Show it the head of the request. `known` is what the application may know of it besides."""
        url, headers = self.url, self.headers
        super().on_message_begin()
        super().on_url(url)
        for name, value in headers:
            super().on_header(name, value)
        self.scope.update(known)  # type: ignore[typeddict-item]
        super().on_headers_complete()

    def _send(self, answer: Answer) -> None:
        parts = [STATUS_LINE[answer.status]]
        for name, value in (*self.server_state.default_headers, *answer.headers):
            parts += (name, b": ", value, b"\r\n")
        parts += (b"\r\n", answer.body)
        self.transport.write(b"".join(parts))
        if _CLOSE in answer.headers:
            self.transport.close()
        self.on_response_complete()
