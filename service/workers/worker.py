"""python -m service.workers.worker: one of several processes that answer predictions on one socket.

`service.replicas.supervisor` starts it, passes the listening sockets and one end of a link, and writes the settings to
standard input. A worker serves the versions that the control process publishes, and forwards every request that is not
a prediction. It stops when the control process sends `drain`, or ends.
"""

import argparse
import asyncio
import signal
import socket
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType

import structlog
import uvicorn
import uvloop

from service import settings
from service.app import create_worker
from service.http.server import configure, new_protocol
from service.http.tls import Certificate, open_certificate
from service.replicas.connection_counts import ConnectionCounts
from service.replicas.interface import CERTIFICATE_MESSAGE
from service.replicas.link import Link
from service.settings import Settings
from service.telemetry import logs
from service.workers.acceptor import Acceptor, Connections

log = structlog.get_logger()


class _Server(uvicorn.Server):
    """Accepts connections after the message `serve`; stops at `drain`, or when the control process ends.

    Args:
        config: of uvicorn.
        link: to the control process.
        connections: of this worker.
        certificate: of the port; None where it does not speak TLS.
    """

    def __init__(
        self, config: uvicorn.Config, link: Link, connections: Connections, certificate: Certificate | None
    ) -> None:
        super().__init__(config)
        self._certificate = certificate
        self.server_state.connections = self._connections = connections
        self._begin = asyncio.Event()
        self._begun = asyncio.Event()
        self._link = link
        link.on("serve", self._serve_now)
        link.on("drain", self._drain)
        link.on(CERTIFICATE_MESSAGE, self._reload_certificate)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for the message `serve`, then start."""
        reading = asyncio.create_task(self._link.run())
        reading.add_done_callback(lambda _: self._stop())
        await self._begin.wait()
        if not self.should_exit:
            await super().startup([])
            context = None if self._certificate is None else self._certificate.context
            protocol = partial(new_protocol, self)
            accepting = (Acceptor(each, self._connections, protocol, context) for each in sockets or ())
            self.servers.extend(accepting)  # type: ignore[arg-type]
            self._begun.set()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Ignore signals: the control process gets them too, and sends `drain`."""

    async def _serve_now(self, _nothing: bytes) -> bytes:
        self._begin.set()
        await self._begun.wait()
        return b""

    async def _drain(self, _nothing: bytes) -> bytes:
        self._stop()
        return b""

    async def _reload_certificate(self, _nothing: bytes) -> bytes:
        if self._certificate is not None:
            self._certificate.reload()
        return b""

    def _stop(self) -> None:
        self.should_exit = True
        self._begin.set()


async def _serve(chosen: Settings, arguments: argparse.Namespace) -> bool:
    """Serve until the worker is to stop. Returns whether the control process still runs."""
    link = await Link.open(socket.socket(fileno=arguments.link))
    connections = Connections(ConnectionCounts(arguments.shares, chosen.workers), arguments.number)
    config = configure(create_worker(chosen, arguments.control, link), chosen)
    server = _Server(config, link, connections, open_certificate(chosen))
    await server.serve([socket.socket(fileno=each) for each in arguments.listening])
    orphaned = link.closed
    link.close()
    return not orphaned


def main(arguments: list[str]) -> None:
    """Serve until the worker is to stop."""
    parser = argparse.ArgumentParser(prog="python -m service.workers.worker")
    parser.add_argument("--number", type=int, required=True, help="of this worker, from 0")
    parser.add_argument("--control", type=Path, required=True, help="the control process's unix socket")
    parser.add_argument("--link", type=int, required=True, help="file descriptor of this end of the link")
    parser.add_argument("--shares", type=int, required=True, help="file descriptor of the shared memory")
    parser.add_argument("--listening", type=int, nargs="+", required=True, help="file descriptors of the sockets")
    given = parser.parse_args(arguments)
    chosen = settings.from_json(sys.stdin.read())
    logs.configure(chosen.log_level, chosen.log_format)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # before uvicorn gives it to `_Server.handle_exit`, and after
    if not uvloop.run(_serve(chosen, given)):
        with suppress(OSError):  # it was killed, and could not clean up after itself; or another worker has done so
            given.control.unlink()
            given.control.parent.rmdir()


if __name__ == "__main__":
    main(sys.argv[1:])
