"""A connection: what waits to be parsed, what is sent, how long its client may take, and how it ends."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from models.errors import Overloaded
from service.errors import public_error
from service.host.memory_budget import Reservation
from service.http.bodies import Held
from service.http.heads import Refused
from service.http.idle_timeout import IdleTimeout
from service.http.incoming import LARGE_SEGMENT_BYTES, Incoming
from service.http.predictions import Application, PendingPrediction
from service.http.proxies import Client
from service.http.response import Response
from service.http.timer import Timer
from service.http.turns import CLOSE_SECONDS, READ_SECONDS
from service.http.writing import WriteTimeout

LINGER_SECONDS = 5.0
"""How long a client may go on sending after its last response. Were the connection closed at once, the system would
reset it, and the client would not see the response."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
PROBE_SECONDS = 1.0
"""Between two checks whether a client that sends no more is still connected."""


_BODIES_EXHAUSTED = public_error(Overloaded("too many request bodies are in flight: try again later"))


class Connection(HttpToolsProtocol):
    """uvicorn's protocol, with limits of time. `service.http.protocol` reads the requests.

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
        self._application = config.app
        self._limits = config.app.limits
        self._turns = config.app.turns
        self._deadline = Timer(self.loop, self._turns)
        idle = Timer(self.loop, self._turns)
        self._idle = IdleTimeout(idle, self.loop.time, self.timeout_keep_alive, self._is_idle, self._on_idle)
        self._is_tls = False
        self._peer: Client | None = None  # a proxy that is trusted to name its clients
        self._is_last = False  # nothing that comes after the current request is answered
        self._is_ended = False  # nothing that comes is answered
        self._incoming = Incoming()
        self._parses_soon = False
        self._has_come = False  # all that the client sends, some of which is still to be parsed
        self._is_half_closed = False  # the client sends no more
        self._pending: PendingPrediction | None = None
        self._client = ""  # the identity of who sent the current request
        self._reservation = Reservation(config.app.bodies)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected, or a proxy."""
        super().connection_made(transport)
        self._is_tls = self.scheme == "https"
        if self._application.proxies.trusts(self._address):
            self._peer = Client(self._address, self.scheme or "http")
        self._writing = WriteTimeout(Timer(self.loop, self._turns), transport, self._limits.write_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has disconnected, or the connection was closed. What was held for it is released in its turn."""
        self._is_ended = True
        self._deadline.stop()
        self._idle.stop()
        self._writing.stop()
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None
        elif self._is_busy():
            self.cycle.disconnected = True  # nothing is written any more
        self._turns.run(partial(self._on_lost, exc))

    def _on_lost(self, exc: Exception | None) -> None:
        """Have the task of the request end, and release what is held."""
        super().connection_lost(exc)
        del self._idle  # which refers to this: thousands of such cycles would wait for a long garbage collection

    def close_after_response(self) -> None:
        """Have the next response say that it is the last one, and close the connection then."""
        self._is_last = True

    def pause_writing(self) -> None:
        """More waits to be sent than the client takes."""
        super().pause_writing()
        self._writing.start()

    def resume_writing(self) -> None:
        """The client has taken most of it."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._writing.stop()
        if self._incoming.size:
            self._parse_soon()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """The client sends no more. It may have closed one direction only, and wait for the response to its request."""
        if self._incoming.size:
            self._has_come = True
        elif self._is_tls:
            return None
        elif not self._is_busy() or (self._pending is None and self.cycle.response_started):
            self._turns.run(self.transport.close, CLOSE_SECONDS)
        else:
            self._is_last = self._is_half_closed = True
            if self._pending is None:
                self.cycle.keep_alive = False
                self._start_deadline(PROBE_SECONDS, self._probe)
        return True

    def on_response_complete(self) -> None:
        """A response has been written. In place of uvicorn's, which sets a timer for each."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self._writing.start()
            return
        self.flow.resume_reading()
        self._idle.start()
        if self._is_last:
            self.transport.close()
        elif self._incoming.size:
            self._parse_soon()

    def _parse_soon(self) -> None:
        """Parse what waits in one of the next iterations of the event loop."""
        if not self._parses_soon:
            self._parses_soon = True
            self._turns.add(self._parse, READ_SECONDS if self._incoming.size >= LARGE_SEGMENT_BYTES else 0.0)

    def _parse(self) -> None:
        raise NotImplementedError

    def _is_idle(self) -> bool:
        """Whether no request is read or answered."""
        raise NotImplementedError

    def _on_idle(self) -> None:
        """Close a connection that has been idle for too long."""
        if not self.transport.is_closing():
            self.transport.close()
        self._writing.start()

    def _probe(self) -> None:
        """Send an interim response. A client that has closed both directions resets the connection at the second one.

        Any client of HTTP/1.1 skips it. Without it, a request whose client has disconnected would stay in its queue.
        """
        waits = self._pending is None and self._is_busy() and not self.cycle.response_started
        if waits and self.cycle.scope["http_version"] == "1.1":
            self.transport.write(CONTINUE)
            self._start_deadline(PROBE_SECONDS, self._probe)

    @property
    def _address(self) -> str:
        """Network address of the client; empty on a unix socket."""
        return "" if self.client is None else self.client[0]

    def _resolve_client(self) -> None:
        """Find the client behind a proxy, and the path below the root path, of the request whose head has come."""
        proxies = self._application.proxies
        self.url = proxies.local(self.url)
        if self._peer is not None:
            address, self.scheme = proxies.client(self._peer, self.headers)  # type: ignore[assignment]
            self.client = (address, 0) if address else None

    def _is_busy(self) -> bool:
        """Whether a request that has been read is still to be answered."""
        return self._pending is not None or (self.cycle is not None and not self.cycle.response_complete)

    def _respond(self, response: Response | ASGIApp) -> None:
        """Send the response to a plain prediction, or leave it to uvicorn."""
        self._pending = None
        if isinstance(response, Response):
            self._reservation.release()
            self._send(response)
            self.on_response_complete()
        else:
            self._leave_to_uvicorn(response, b"")

    def _hold(self, size: int) -> None:
        """Hold so many bytes of a body until the request has been answered.

        Raises:
            Refused: the client's share has no room for them.
        """
        if not self._reservation.grow(self._client, size):
            raise Refused(_BODIES_EXHAUSTED)

    def _leave_to_uvicorn(self, app: ASGIApp, body: bytes) -> None:
        """Have an application answer the request."""
        if self._reservation.size:
            app = Held(app, self._reservation)
            self._reservation = Reservation(self._application.bodies)
        self._start_task(app, body)

    def _start_task(self, app: ASGIApp, body: bytes) -> None:
        """Show uvicorn the whole request whose head is in `url` and `headers`: it makes a task of it.

        Args:
            app: answers it.
            body: what the application receives.
        """
        url, headers = self.url, self.headers
        super().on_message_begin()
        super().on_url(url)
        self.headers.extend(headers)
        whole, self.app = self.app, app
        try:
            super().on_headers_complete()
        finally:
            self.app = whole
        self.cycle.body = body  # type: ignore[assignment]  # passed on without a copy
        if self._is_last:
            self.cycle.keep_alive = False
        if self._is_half_closed:
            self._start_deadline(PROBE_SECONDS, self._probe)
        super().on_message_complete()

    def _send(self, response: Response) -> None:
        """Send a response."""
        if self._is_last:
            response = response.closing()
        self.transport.write(response.to_bytes(self.server_state.default_headers))
        if response.closes:
            self.transport.close()

    def _end(self, response: Response) -> None:
        """End the connection with this response, and read on for a moment, so that the client can read it."""
        self._is_ended = True
        self._deadline.stop()
        self._idle.stop()
        self.server_state.total_requests += 1
        self.transport.write(response.closing().to_bytes(self.server_state.default_headers))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if not self.transport.is_closing():
            self.flow.resume_reading()  # a client that cannot send any more does not read either
        self._start_deadline(LINGER_SECONDS, self.transport.abort)

    def _start_deadline(self, seconds: float, on_timeout: Callable[[], None]) -> None:
        """Call this after some seconds, unless a deadline is set already."""
        self._deadline.start(seconds, partial(self._on_deadline, seconds, on_timeout))

    def _on_deadline(self, seconds: float, on_timeout: Callable[[], None]) -> None:
        if self.flow.read_paused:  # it is not the client that is late
            self._start_deadline(seconds, on_timeout)
        else:
            on_timeout()
