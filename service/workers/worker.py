"""python -m service.workers.worker: one of several replicas that share the port of one machine.

`service.workers.supervisor` starts it, passes the listening sockets and one end of a pair of sockets, and writes the
settings to standard input. By the pair each process notices the end of the other: the worker sends a byte every second,
the first one when it serves, and stops when the other end is closed.
"""

import argparse
import asyncio
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from service import settings
from service.app import create_app
from service.host import descriptors
from service.host.lifecycle import Lifecycle
from service.host.sockets import unix_socket
from service.http.acceptor import Acceptor
from service.http.server import Server, configure, run
from service.http.tls import open_certificate
from service.replicas.worker_group import WorkerGroup, WorkerTable
from service.telemetry import logs
from service.workers.acceptor import Connections, SharingAcceptor

BEAT_SECONDS = 1.0
_OWNER_ONLY = 0o600


class WorkerServer(Server):
    """Accepts its share of the connections, and requests of other replicas on a socket of its own.

    Args:
        args: of `Server`.
        group: this worker's place.
        lifeline: to the supervisor.
    """

    def __init__(self, *args: object, group: WorkerGroup, lifeline: socket.socket) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.server_state.connections = self._connections = Connections(group.table, group.number)
        self._lifeline = lifeline
        self.is_orphan = False

    def listen(self, bound: socket.socket) -> Acceptor:
        """Accept connections on a socket: the private one alone, the others with the other workers."""
        if bound.family == socket.AF_UNIX and bound.getsockname() == self.config.uds:
            return super().listen(bound)
        return SharingAcceptor(bound, self._connections, self.new_protocol, self.tls)

    def announce(self, bound: Sequence[socket.socket]) -> None:  # noqa: ARG002
        """Signal the supervisor, which prints the addresses when all workers serve."""
        self._connections.serve()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._lifeline, self._stop_as_orphan)
        self._beat(loop)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        with suppress(OSError):
            self._lifeline.send(b".", socket.MSG_DONTWAIT)
        loop.call_later(BEAT_SECONDS, self._beat, loop)

    def _stop_as_orphan(self) -> None:
        """Stop, since the supervisor has ended."""
        self.is_orphan = True
        asyncio.get_running_loop().remove_reader(self._lifeline)
        self.handle_exit(signal.SIGTERM, None)


def main(arguments: list[str]) -> int:
    """Serve until the worker is to stop. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m service.workers.worker")
    parser.add_argument("--number", type=int, required=True, help="of this worker, from 0")
    parser.add_argument("--group", required=True, help="id of the group of workers")
    parser.add_argument("--folder", type=Path, required=True, help="private folder, for the socket of this worker")
    parser.add_argument("--lifeline", type=int, required=True, help="file descriptor of a socket to the supervisor")
    parser.add_argument("--table", type=int, required=True, help="file descriptor of the shared memory")
    parser.add_argument("--listening", type=int, nargs="+", required=True, help="file descriptors of the sockets")
    given = parser.parse_args(arguments)
    descriptors.make_room()
    chosen = settings.from_json(sys.stdin.read())
    logs.configure(chosen.log_level, chosen.log_format)
    path = given.folder / f"{given.number}.sock"
    path.unlink(missing_ok=True)  # of the worker that this one replaces
    group = WorkerGroup(given.group, given.number, WorkerTable(given.table, chosen.workers), f"unix://{path}")
    certificate, lifecycle = open_certificate(chosen), Lifecycle()
    with unix_socket(path, _OWNER_ONLY) as private, socket.socket(fileno=given.lifeline) as lifeline:
        config = configure(create_app(chosen, lifecycle, certificate, group), chosen, uds=str(path))
        server = WorkerServer(config, lifecycle, chosen, certificate, group=group, lifeline=lifeline)
        code = run(server, [private, *(socket.socket(fileno=each) for each in given.listening)])
    if server.is_orphan:
        with suppress(OSError):  # the supervisor was killed, and could not clean up; another worker may need it yet
            given.folder.rmdir()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
