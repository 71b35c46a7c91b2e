"""Accepts connections on one socket: as many as wait, in one iteration of the event loop.

libuv accepts one connection each time that it polls. Under load an iteration of the event loop has a run in it, so a
new client, a health check perhaps, would wait for as many runs as there are clients before it.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any

import structlog

log = structlog.get_logger()

BACKLOG = 2048
"""Connections that the system holds until they are accepted."""

MAX_AT_ONCE = 16
"""Accepted in one iteration, so that a flood of connections keeps no request waiting for long."""

MAX_HANDSHAKES_AT_ONCE = 4
"""The same where each connection begins with a handshake of TLS, which takes a millisecond of the event loop."""

HANDSHAKE_SECONDS = 10.0
"""How long a handshake of TLS may take."""

PAUSE_SECONDS = 1.0
"""After the system has refused a connection, for want of file descriptors or memory."""


class Acceptor:
    """Takes the place of the event loop's own server, as far as uvicorn uses that.

    Args:
        listening: a bound socket.
        make_protocol: makes the protocol of a connection.
        context: of TLS; None where connections are plain.
    """

    def __init__(
        self,
        listening: socket.socket,
        make_protocol: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._context = context
        self._listening = listening
        self._make_protocol = make_protocol
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.TimerHandle | None = None
        self._adopting: set[asyncio.Task[Any]] = set()
        self._max_at_once = MAX_AT_ONCE if context is None else MAX_HANDSHAKES_AT_ONCE
        listening.setblocking(False)
        listening.listen(BACKLOG)
        self._wait_for_one()

    def close(self) -> None:
        """Accept no more."""
        self._loop.remove_reader(self._listening)
        if self._waiting is not None:
            self._waiting.cancel()

    async def wait_closed(self) -> None:
        """Return when every accepted connection has its protocol."""
        if self._adopting:
            await asyncio.wait(self._adopting)

    def _wait_for_one(self) -> None:
        self._loop.add_reader(self._listening, self._arrived)

    def _arrived(self) -> None:
        """Accept what waits."""
        for _ in range(self._max_at_once):
            if not self._take_one():
                return

    def _take_one(self) -> bool:
        """Accept one connection. Returns whether another may be accepted at once."""
        return self._accept()

    def _accept(self) -> bool:
        try:
            connection, _ = self._listening.accept()
        except BlockingIOError:  # there is none, or another worker has it
            return False
        except ConnectionAbortedError:  # the client has disconnected
            return True
        except OSError as error:
            log.error("accepting_failed", error=str(error))
            self._look_again(PAUSE_SECONDS, lambda: None)
            return False
        adopting = self._loop.create_task(self._adopt(connection))
        self._adopting.add(adopting)
        adopting.add_done_callback(self._adopting.discard)
        return True

    async def _adopt(self, connection: socket.socket) -> None:
        try:
            limit = None if self._context is None else HANDSHAKE_SECONDS
            await self._loop.connect_accepted_socket(
                self._make_protocol, connection, ssl=self._context, ssl_handshake_timeout=limit
            )
        except OSError as error:  # the client has disconnected, or does not speak TLS
            log.debug("connection_not_established", error=str(error))

    def _look_again(self, seconds: float, then: Callable[[], object]) -> None:
        """Leave the socket alone for a moment."""

        def look() -> None:
            self._wait_for_one()
            then()

        self._loop.remove_reader(self._listening)
        self._waiting = self._loop.call_later(seconds, look)
