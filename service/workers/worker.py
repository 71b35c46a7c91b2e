"""python -m service.workers.worker: one of several processes that answer predictions on one socket.

`service.replicas.supervisor` starts it, passes the listening socket and one end of a link, and writes the settings to
standard input. A worker serves the versions that the control process publishes, and forwards every request that is not
a prediction. It stops when the control process sends `drain`, or ends.
"""

import argparse
import asyncio
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

import structlog
import uvicorn
import uvloop

from service import settings
from service.app import create_worker
from service.http.server import configure
from service.replicas.connection_counts import ConnectionCounts
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
    """

    def __init__(self, config: uvicorn.Config, link: Link, connections: Connections) -> None:
        super().__init__(config)
        self.server_state.connections = self._connections = connections
        self._begin = asyncio.Event()
        self._begun = asyncio.Event()
        self._link = link
        link.on("serve", self._serve_now)
        link.on("drain", self._drain)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for the message `serve`, then start."""
        reading = asyncio.create_task(self._link.run())
        reading.add_done_callback(lambda _: self._stop())
        await self._begin.wait()
        if not self.should_exit:
            await super().startup([])
            accepting = (Acceptor(listening, self._connections, self._protocol) for listening in sockets or ())
            self.servers.extend(accepting)  # type: ignore[arg-type]
            self._begun.set()

    def _protocol(self) -> asyncio.Protocol:
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Ignore signals: the control process gets them too, and sends `drain`."""

    async def _serve_now(self, _nothing: bytes) -> bytes:
        self._begin.set()
        await self._begun.wait()
        return b""

    async def _drain(self, _nothing: bytes) -> bytes:
        self._stop()
        return b""

    def _stop(self) -> None:
        self.should_exit = True
        self._begin.set()


async def _serve(chosen: Settings, arguments: argparse.Namespace) -> bool:
    """Serve until the worker is to stop. Returns whether the control process still runs."""
    link = await Link.open(socket.socket(fileno=arguments.link))
    connections = Connections(ConnectionCounts(arguments.shares, chosen.workers), arguments.number)
    server = _Server(configure(create_worker(chosen, arguments.control, link), chosen), link, connections)
    await server.serve([socket.socket(fileno=arguments.listening)])
    orphaned = link.closed
    link.close()
    return not orphaned


def main(arguments: list[str]) -> None:
    """Serve until the worker is to stop."""
    parser = argparse.ArgumentParser(prog="python -m service.workers.worker")
    parser.add_argument("--number", type=int, required=True, help="of this worker, from 0")
    parser.add_argument("--control", type=Path, required=True, help="the control process's unix socket")
    for name, about in (("listening", "the shared socket"), ("link", "this end of it"), ("shares", "shared memory")):
        parser.add_argument(f"--{name}", type=int, required=True, help=f"file descriptor of {about}")
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
