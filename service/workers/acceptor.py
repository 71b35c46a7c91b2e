"""Accepts connections on the socket that the workers share, so that each worker gets about as many.

Left to the kernel, the worker that wakes first accepts all connections that arrive together: sometimes all of eight,
while the other cores idle. So the workers share their numbers of connections, and a worker that has more than another
leaves a new connection to that one for a moment.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any

import structlog

from service.http.server import BACKLOG
from service.replicas.worker_group import WorkerTable

log = structlog.get_logger()

_MOMENT_SECONDS = 0.005
_PAUSE_SECONDS = 1.0
"""After the system has refused a connection, for want of file descriptors or memory."""


class Connections(set[Any]):
    """Open connections of a worker, whose number the other workers see.

    Args:
        table: of all workers.
        worker: index of this worker.
    """

    def __init__(self, table: WorkerTable, worker: int) -> None:
        super().__init__()
        self.table = table
        self._worker = worker

    def serve(self) -> None:
        """Let the other workers know that this one accepts connections."""
        self.table.set_connections(self._worker, len(self))

    def add(self, connection: Any) -> None:
        """Count an open connection."""
        super().add(connection)
        self.table.set_connections(self._worker, len(self))

    def discard(self, connection: Any) -> None:
        """Count a closed connection no more."""
        super().discard(connection)
        self.table.set_connections(self._worker, len(self))


class Acceptor:
    """Takes the place of the event loop's own server, as far as uvicorn uses that.

    Args:
        listening: the shared socket.
        connections: those of this worker.
        make_protocol: makes the protocol of a connection.
        context: of TLS; None where connections are plain.
    """

    def __init__(
        self,
        listening: socket.socket,
        connections: Connections,
        make_protocol: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._context = context
        self._listening = listening
        self._connections = connections
        self._make_protocol = make_protocol
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.TimerHandle | None = None
        self._adopting: set[asyncio.Task[Any]] = set()
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
        if len(self._connections) + len(self._adopting) <= self._connections.table.fewest_connections + 1:
            self._accept()
        else:
            self._look_again(_MOMENT_SECONDS, self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # another worker has it, or the client has disconnected
        except OSError as error:
            log.error("accepting_failed", error=str(error))
            self._look_again(_PAUSE_SECONDS, lambda: None)
            return
        connection.setblocking(False)
        adopting = self._loop.create_task(self._adopt(connection))
        self._adopting.add(adopting)
        adopting.add_done_callback(self._adopting.discard)

    async def _adopt(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make_protocol, connection, ssl=self._context)
        except OSError as error:  # the client has disconnected, or does not speak TLS
            log.debug("connection_not_established", error=str(error))

    def _look_again(self, seconds: float, then: Callable[[], None]) -> None:
        def look() -> None:
            self._wait_for_one()
            then()

        self._loop.remove_reader(self._listening)
        self._waiting = self._loop.call_later(seconds, look)
