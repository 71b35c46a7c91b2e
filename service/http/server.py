"""How every process of the service runs and stops uvicorn."""

import asyncio
import signal
import socket
from types import FrameType
from typing import Any

import structlog
import uvicorn

from service.host.lifecycle import Lifecycle
from service.http.predictions import Application
from service.http.protocol import Protocol
from service.settings import Settings

log = structlog.get_logger()

STARTUP_FAILURE = 3
"""Exit code of a service that did not start, as uvicorn has it: supervisors know it."""


def configure(app: Application, settings: Settings, **where: Any) -> uvicorn.Config:
    """Configuration of uvicorn for an application.

    Args:
        app: the application.
        settings: of the service.
        where: the address or socket, as uvicorn names them.
    """
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=Protocol,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # nothing here depends on who the client is
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.drain_seconds,
        **where,
    )


def run(server: uvicorn.Server, sockets: list[socket.socket] | None = None) -> int:
    """Serve until a signal stops the process. Returns its exit code."""
    # uvicorn raises the signal once more when it has drained; an orderly stop is no failure, so let that pass.
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: None)
    try:
        server.run(sockets)
    except SystemExit:  # uvicorn's way out when the start fails
        return STARTUP_FAILURE
    return 0 if server.started else STARTUP_FAILURE


def announce(bound: socket.socket) -> None:
    """Print the addresses of the service, for the person who started it."""
    host, port = bound.getsockname()[:2]
    base = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    lines = [
        f"Denge serves on {base}",
        f"  page:          {base}/",
        f"  API:           {base}/docs",
        f"  try:           curl -s {base}/docs/seven.png | curl -s --data-binary @- {base}/v2/models/convnet/predict",
        f"  layers:        curl -s {base}/v2/models/mlp/layers/hidden.0.norm",
    ]
    print("\n".join(lines), flush=True)  # noqa: T201 - the log goes to standard error


class Server(uvicorn.Server):
    """Reports 'not ready' before it closes the port, so that load balancers stop sending requests first.

    Args:
        config: of uvicorn.
        lifecycle: shared with the application.
        shutdown_delay: seconds between the two.
    """

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle, shutdown_delay: float) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle
        self._shutdown_delay = shutdown_delay

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Bind, then print the addresses."""
        await super().startup(sockets)
        if self.started:
            announce(self.servers[0].sockets[0])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal, stop at once at the second."""
        if self._lifecycle.stopping or not self._shutdown_delay:
            self._lifecycle.stopping = True
            super().handle_exit(sig, frame)
            return
        self._lifecycle.stopping = True
        log.info("stopping", seconds=self._shutdown_delay)
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe(loop.call_later, self._shutdown_delay, super().handle_exit, sig, frame)
