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

from service.http.acceptor import Acceptor
from service.replicas.worker_group import WorkerTable

_MOMENT_SECONDS = 0.005


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


class SharingAcceptor(Acceptor):
    """Accepts this worker's share of the connections.

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
        self._connections = connections
        super().__init__(listening, make_protocol, context)

    def _take_one(self) -> bool:
        """Accept one, unless another worker has fewer: it is left to that one for a moment."""
        if len(self._connections) + len(self._adopting) <= self._connections.table.fewest_connections + 1:
            return self._accept()
        self._look_again(_MOMENT_SECONDS, self._accept)
        return False
