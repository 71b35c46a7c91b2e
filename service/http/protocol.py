"""HTTP as uvicorn speaks it, except that a request reaches an application when all of it is there.

    head ──> body ──> a plain prediction is answered together with others: `service.http.predictions`
      │        │  └─> another request is shown to uvicorn as a whole, which makes a task of it for the ASGI application
      └────────┴────> what is refused gets its response; what the client still sends is read and dropped for a moment

uvicorn makes a task of every request, and passes its parts to and fro as messages. For a small model that costs as
much as the model. Here the body is collected as it comes, so one place bounds its size, its time and its memory, for
all routes alike; and a plain prediction needs no task.

What follows a request on its connection is not parsed before the request has been answered, and then in another
iteration of the event loop: responses keep the order of their requests, and a client that sends very many in line keeps
nobody else waiting. uvicorn keeps the tasks, keep-alive, and how the server stops.
"""

import asyncio
from functools import partial
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from models.errors import InvalidInput, TooLarge
from service.errors import PublicError, public_error
from service.http import heads
from service.http.connection import CONTINUE
from service.http.heads import Refused
from service.http.incoming import LARGE_SEGMENT_BYTES
from service.http.known_head import KnownHead
from service.http.predictions import PlainRequest
from service.http.refusals import ConnectionEnded, Phase, RefusingConnection
from service.http.response import Response

_MAX_PARTS = 256
"""Parsed in one iteration of the event loop: a body in chunks can be empty lines from end to end."""

_CHUNK_FRAMING_BYTES = 16
"""Of a chunk without extensions, besides its content."""


class Protocol(RefusingConnection):
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
        self._is_complete = False  # whether a request has ended in what is parsed
        self._begins_here = False  # whether the request began in the segment that is parsed
        self._overhead = 0  # bytes of the request that are not its body, except in the segment in which it began
        self._fields = 0  # headers and trailers
        self._plain: PlainRequest | None = None
        self._head: bytes | memoryview = b""  # of the request, where it is part of one segment
        self._known_head: KnownHead | None = None  # of the last request, if it was plain
        self._received = 0  # bytes of the body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self._start_deadline(self._limits.head_seconds, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Parse a segment, up to the end of one request."""
        if self._is_ended:
            return
        self._incoming.add(data)
        if len(data) >= LARGE_SEGMENT_BYTES:
            self._parse_soon()
        elif not self._parses_soon:
            self._parses_soon = True
            self._turns.run(self._parse)
        if self._parses_soon:
            self.flow.pause_reading()

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._is_busy():
            raise Refused(heads.INVALID)
        self._deadline.stop()
        self._phase = Phase.HEAD
        self._known_head = None
        self._begins_here, self._overhead, self._fields = True, 0, 0
        self._method = self.url = b""
        self.headers = []

    def on_url(self, url: bytes) -> None:
        """A part of its URL."""
        self.url += url
        if len(self.url) > heads.MAX_URL_BYTES:
            raise Refused(heads.URL_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers. Trailers are counted, and ignored."""
        self._fields += 1
        if self._fields > heads.MAX_HEADERS:
            raise Refused(heads.TOO_MANY_HEADERS)
        if self._phase is Phase.HEAD:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Decide who answers it, or refuse it."""
        self._deadline.stop()
        self._method = self.parser.get_method()
        version = self.parser.get_http_version()
        headers = heads.validate(self.headers, version)
        if self.parser.should_upgrade():
            heads.validate_upgrade(self._method, headers)
            return
        self._phase = Phase.BODY
        self._received = 0
        self._resolve_client()
        self._length = None if b"transfer-encoding" in headers else int(headers.get(b"content-length", 0))
        max_bytes = self._limits.max_body_bytes
        if self._length is not None and self._length > max_bytes:
            raise Refused(public_error(TooLarge(f"{self._length} bytes, at most {max_bytes} are read", "body")))
        self._expects_continue = version == "1.1" and headers.get(b"expect", b"").lower() == b"100-continue"
        self._client = self._address
        closes = not self.parser.should_keep_alive()
        if version == "1.1" and not (closes and self._method == b"POST"):
            admitted = self._application.plain.admit(self._method, self.url, headers, self._client)
            if isinstance(admitted, Response):
                self._answer_early(admitted.closing() if closes else admitted)
            elif admitted is not None:
                self._plain, self._client = admitted, admitted.admitted.client
                if not (closes or self._expects_continue or self._length is None):
                    self._known_head = KnownHead.of(bytes(self._head), self.headers, headers)

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        self._received += len(body)
        self._overhead -= len(body) + _CHUNK_FRAMING_BYTES
        if self._phase is Phase.BODY:
            self._body.add(body)

    def on_message_complete(self) -> None:
        """Answer the request."""
        if self._phase is Phase.HEAD:  # to be parsed again, without its upgrade
            return
        self._is_complete = True
        self._deadline.stop()
        phase, self._phase = self._phase, Phase.IDLE
        if phase is Phase.SKIPPED:
            self.on_response_complete()
            return
        plain, self._plain = self._plain, None
        self._answer(plain, self._body.take())

    def _on_lost(self, exc: Exception | None) -> None:
        super()._on_lost(exc)
        if self._phase is Phase.BODY:
            self._record(_DISCONNECTED)
        self._drop()

    def shutdown(self) -> None:
        """The service stops. A request whose head has come is still answered."""
        if self._phase in {Phase.BODY, Phase.SKIPPED} or self._pending is not None:
            self._is_last = True
        else:
            super().shutdown()

    def _parse(self) -> None:
        """Parse what has come, up to the end of one request, and bound a request that is not complete."""
        self._parses_soon = False
        if self._is_ended:
            return
        if self._is_busy() or self.flow.write_paused:
            self.flow.pause_reading()
            return
        self._begins_here = self._is_complete = False
        size = self._incoming.size
        try:
            self._parse_parts()
        except (httptools.HttpParserError, Refused) as error:
            if not isinstance(error.__context__, ConnectionEnded):
                self._refuse(heads.reason(error))
            return
        if self._phase is not Phase.IDLE:
            self._bound(size - self._incoming.size)
        elif not self._is_busy() and not self._idle.is_running:
            self._start_deadline(self._limits.head_seconds, self.transport.abort)
        if self._incoming.size:
            self.flow.pause_reading()
            if not self._is_busy():
                self._parse_soon()
            return
        self.flow.resume_reading()
        if self._has_come and not self.eof_received():
            self.transport.close()

    def _is_idle(self) -> bool:
        return self._phase is Phase.IDLE and not self._incoming.size and not self._is_busy()

    def _parse_parts(self) -> None:
        if self._phase is Phase.IDLE:
            head = self._known_head if self._incoming.size <= self._limits.max_body_bytes else None
            if head is not None and (body := self._incoming.take_body(head)) is not None:
                self._answer_again(head, body)
                return
            if not self._incoming.skip_empty_lines():
                self.on_message_begin()
                raise Refused(heads.HEAD_TOO_LARGE)
        for _ in range(_MAX_PARTS):
            if not self._incoming.size or self._is_complete:
                return
            self._parse_part()

    def _parse_part(self) -> None:
        is_body = self._phase is Phase.BODY or self._phase is Phase.SKIPPED
        part = self._incoming.take(self._length - self._received if is_body and self._length is not None else None)
        self._head = part if self._phase is Phase.IDLE else b""
        try:
            self.parser.feed_data(part)
        except httptools.HttpParserUpgrade as upgrade:
            # The parser takes the end of such a head for the end of the request: it is parsed again.
            self._incoming.give_back(len(part) - upgrade.args[0])
            self.parser = heads.new_parser(self)
            self.parser.feed_data(heads.without_upgrade(self._method, self.url, self.headers))

    def _answer_again(self, head: KnownHead, body: bytes) -> None:
        """Answer a request with the same head as the last one, which was plain."""
        self._deadline.stop()
        self.headers, by_name = head.with_length(len(body))
        self._client = self._address
        admitted = self._application.plain.admit(self._method, self.url, by_name, self._client)
        if isinstance(admitted, Response):
            self._send(admitted)
            self.on_response_complete()
            return
        if admitted is not None:
            self._client = admitted.admitted.client
        self._answer(admitted, body)

    def _answer(self, plain: PlainRequest | None, body: bytes) -> None:
        """Answer a request that has come."""
        self._hold(len(body))
        if plain is None:
            self._leave_to_uvicorn(self.app, body)
        else:
            self._pending = self._application.plain.submit(plain, body, self._respond)

    def _bound(self, size: int) -> None:
        """Bound a request that is not complete after a segment of so many bytes."""
        if not self._begins_here:
            self._overhead += size
            if self._overhead > heads.MAX_HEAD_BYTES:
                self._refuse(heads.HEAD_TOO_LARGE)
                return
        if self._phase is Phase.BODY:
            try:
                self._hold(max(self._length or 0, self._body.size))
            except Refused as refused:
                self._refuse(refused.error)
                return
            self._send_continue()
        seconds = self._limits.head_seconds if self._phase is Phase.HEAD else self._limits.body_seconds
        self._start_deadline(seconds, partial(self._on_late, seconds))

    def _on_late(self, seconds: float) -> None:
        if self._phase is Phase.SKIPPED:
            self.transport.abort()
        else:
            message = f"{self._phase.name.lower()}: did not arrive within {seconds:g} seconds"
            self._refuse(PublicError(HTTPStatus.REQUEST_TIMEOUT, message))

    def _send_continue(self) -> None:
        if self._expects_continue and not self._body.size:
            self._expects_continue = False
            self.transport.write(CONTINUE)


_DISCONNECTED = public_error(InvalidInput("the client disconnected before its end", "body"))
