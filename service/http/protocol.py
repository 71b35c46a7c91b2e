"""HTTP as uvicorn speaks it, except that a request reaches an application when all of it is there.

    head ──> body ──> a plain prediction is answered at once: `service.http.predictions`
      │        │  └─> another request is shown to uvicorn as a whole, which makes a task of it for the ASGI application
      └────────┴────> what is refused gets its response; what the client still sends is read and dropped for a moment

uvicorn makes a task of every request, and passes its parts to and fro as messages. For a small model that costs as
much as the model. Here the body is collected as it comes, so one place bounds its size, its time and its memory, for
all routes alike; and a plain prediction is answered by one call.

uvicorn keeps what follows a request: its task, the order of responses, keep-alive, and how the server stops.
"""

import asyncio
from enum import Enum, auto
from functools import partial
from http import HTTPStatus
from typing import Any

import httptools
from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import ServerState

from models.errors import InvalidInput, Overloaded, TooLarge
from service.errors import PublicError, public_error
from service.host.memory_budget import Reservation
from service.http import heads
from service.http.bodies import CollectedBody, Held
from service.http.connection import CONTINUE, Connection
from service.http.heads import Refused
from service.http.predictions import PlainRequest
from service.http.response import Response

MAX_SKIPPED_BYTES = 256 << 10
"""Of the body of a request that is refused by its head. A larger one ends the connection."""

_CHUNK_FRAMING_BYTES = 16
"""Of a chunk without extensions, besides its content."""


class _Phase(Enum):
    """What is read now."""

    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    SKIPPED = auto()  # the body of a request that has been answered


class _Stop(Exception):
    """Ends the parsing of a connection."""


class Protocol(Connection):
    """Reads the requests of one connection.

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
        self._phase = _Phase.IDLE
        self._begins_here = False  # whether the request began in the segment that is parsed
        self._overhead = 0  # bytes of the request that are not its body, except in the segment in which it began
        self._method = b""
        self.url = b""
        self.headers = []
        self._plain: PlainRequest | None = None
        self._client = ""
        self._length: int | None = None  # of the body; None where it comes in chunks
        self._body = CollectedBody(self._limits.max_body_bytes)
        self._reservation: Reservation | None = None
        self._expects_continue = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self._start_deadline(self._limits.head_seconds, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Parse a segment, and bound what is not complete yet."""
        if self._is_ended:
            return
        self._unset_keepalive_if_required()
        self._begins_here = False
        try:
            self._parse(memoryview(data))
        except httptools.HttpParserError as error:
            if not isinstance(error.__context__, _Stop):
                self._refuse(heads.reason(error))
            return
        if self._phase is not _Phase.IDLE:
            self._bound(len(data))
        elif self.timeout_keep_alive_task is None and not self._is_busy():
            self._start_deadline(self._limits.head_seconds, self.transport.abort)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._stop_deadline()
        self._phase = _Phase.HEAD
        self._begins_here = True
        self._overhead = 0
        self._method = self.url = b""
        self.headers = []

    def on_url(self, url: bytes) -> None:
        """A part of its URL."""
        self.url += url
        if len(self.url) > heads.MAX_URL_BYTES:
            raise Refused(heads.URL_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers. Trailers are ignored."""
        if self._phase is _Phase.HEAD:
            self.headers.append((name.lower(), value))
            if len(self.headers) > heads.MAX_HEADERS:
                raise Refused(heads.TOO_MANY_HEADERS)

    def on_headers_complete(self) -> None:
        """Decide who answers it, or refuse it."""
        self._stop_deadline()
        self._method = self.parser.get_method()
        version = self.parser.get_http_version()
        headers = heads.validate(self.headers, version)
        if self.parser.should_upgrade():
            heads.validate_upgrade(self._method, headers)
            return
        self._phase = _Phase.BODY
        self._resolve_client()
        self._length = None if b"transfer-encoding" in headers else int(headers.get(b"content-length", 0))
        max_bytes = self._limits.max_body_bytes
        if self._length is not None and self._length > max_bytes:
            raise Refused(public_error(TooLarge(f"{self._length} bytes, at most {max_bytes} are read", "body")))
        self._expects_continue = version == "1.1" and headers.get(b"expect", b"").lower() == b"100-continue"
        self._client = self._address
        self._plain = None
        # Answers keep the order of their requests, and wait for a client that does not read.
        if (
            self._method == b"POST"
            and version == "1.1"
            and self.parser.should_keep_alive()
            and not self.flow.write_paused
            and not self._is_busy()
        ):
            admitted = self._application.plain.admit(self.url, headers, self._client)
            if isinstance(admitted, Response):
                self._answer_early(admitted)
            elif admitted is not None:
                self._plain, self._client = admitted, admitted.admitted.client

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        self._overhead -= len(body) + _CHUNK_FRAMING_BYTES
        if self._phase is _Phase.BODY:
            self._body.add(body)

    def on_message_complete(self) -> None:
        """Answer the request."""
        if self._phase is _Phase.HEAD:  # to be parsed again, without its upgrade
            return
        self._stop_deadline()
        phase, self._phase = self._phase, _Phase.IDLE
        if phase is _Phase.SKIPPED:
            self.on_response_complete()
            return
        plain, self._plain = self._plain, None
        body = self._body.take()
        if plain is None:
            self._leave_to_uvicorn(self.app, body, len(body))
            return
        response = self._application.plain.answer(plain, body)
        if not isinstance(response, Response):
            self._leave_to_uvicorn(response, b"", len(body))
            return
        self._release()
        self._send(response)
        self.on_response_complete()

    def on_response_complete(self) -> None:
        """A response has been written, while another request may be read already."""
        super().on_response_complete()
        if self._phase is not _Phase.IDLE:
            self._unset_keepalive_if_required()
            self._send_continue()
        elif self._is_last and not self._is_busy():
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has disconnected, or the connection was closed."""
        super().connection_lost(exc)
        if self._phase is _Phase.BODY:
            self._record(_DISCONNECTED)
        self._drop()

    def shutdown(self) -> None:
        """The service stops. A request whose head has come is still answered."""
        if self._phase in {_Phase.BODY, _Phase.SKIPPED}:
            self._is_last = True
        else:
            super().shutdown()

    def _parse(self, data: memoryview) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                # The parser takes the end of such a head for the end of the request: it is parsed again.
                data = data[upgrade.args[0] :]
                self.parser = heads.new_parser(self)
                self.parser.feed_data(heads.without_upgrade(self._method, self.url, self.headers))
            else:
                return

    def _bound(self, size: int) -> None:
        """Bound a request that is not complete after a segment of so many bytes."""
        if not self._begins_here:
            self._overhead += size
            if self._overhead > heads.MAX_HEAD_BYTES:
                self._refuse(heads.HEAD_TOO_LARGE)
                return
        if self._phase is _Phase.BODY:
            if self._reservation is None:
                self._reservation = self._application.bodies.open(self._client)
            if not self._reservation.grow(max(self._length or 0, self._body.size)):
                self._refuse(_BODIES_EXHAUSTED)
                return
            self._send_continue()
        seconds = self._limits.head_seconds if self._phase is _Phase.HEAD else self._limits.body_seconds
        self._start_deadline(seconds, partial(self._on_late, seconds))

    def _on_late(self, seconds: float) -> None:
        if self._phase is _Phase.SKIPPED:
            self.transport.abort()
        else:
            message = f"{self._phase.name.lower()}: did not arrive within {seconds:g} seconds"
            self._refuse(PublicError(HTTPStatus.REQUEST_TIMEOUT, message))

    def _send_continue(self) -> None:
        waits = self._expects_continue and self._phase is _Phase.BODY and not self._body.size
        if waits and not self._is_busy():
            self._expects_continue = False
            self.transport.write(CONTINUE)

    def _leave_to_uvicorn(self, app: ASGIApp, body: bytes, held: int) -> None:
        """Have an application answer the request, of whose body so many bytes are held until then."""
        if held:
            reservation = self._reservation or self._application.bodies.open(self._client)
            if not reservation.grow(held):
                raise Refused(_BODIES_EXHAUSTED)
            app = Held(app, reservation)
        self._start_task(app, body)
        self._reservation = None

    def _answer_early(self, response: Response) -> None:
        """Answer a request whose body has not been read."""
        is_small = self._length is not None and self._length <= MAX_SKIPPED_BYTES
        if is_small and not self._expects_continue and not response.closes:
            self._phase = _Phase.SKIPPED
            self._send(response)
        else:
            self._drop()
            self._end(response)
            raise _Stop

    def _refuse(self, error: PublicError) -> None:
        """End the connection with an error: the rest of the request is not read."""
        response = self._record(error)
        self._drop()
        self._end(response)

    def _record(self, error: PublicError) -> Response:
        return self._application.context.refuse(
            error, self._method.decode(), self.url, dict(self.headers), self._address
        )

    def _drop(self) -> None:
        """Hold nothing of a request that is not answered."""
        self._phase = _Phase.IDLE
        self._body.take()
        self._release()

    def _release(self) -> None:
        if self._reservation is not None:
            self._reservation.release()
            self._reservation = None


_DISCONNECTED = public_error(InvalidInput("the client disconnected before its end", "body"))
_BODIES_EXHAUSTED = public_error(Overloaded("too many request bodies are in flight: try again later"))
