"""How every process of the service runs and stops uvicorn."""

import asyncio
import gc
import logging
import signal
import socket
import ssl
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

import structlog
import uvicorn

from service.host.lifecycle import Lifecycle
from service.http.acceptor import Acceptor
from service.http.opening import STARTUP_FAILURE, announce, announce_others, report_failure
from service.http.predictions import Application
from service.http.protocol import Protocol
from service.http.tls import Certificate
from service.settings import Settings

log = structlog.get_logger()

SWITCH_SECONDS = 0.0005
"""Longest wait of the event loop for the interpreter while another thread computes, which may observe or decode.

Each accepted connection gives the interpreter away for a moment: with Python's five milliseconds, an iteration that
accepts sixteen of them waited for a thread up to sixteen times as long.
"""

PUT_OFF_SECONDS = 0.05
"""How long what need not be done at the start is put off, so that requests which have waited are answered before."""


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
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # `service.http.proxies` reads them
        root_path=settings.root_path,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.drain_seconds,
        **where,
    )


def run(server: uvicorn.Server, sockets: list[socket.socket] | None = None) -> int:
    """Serve until a signal stops the process. Returns its exit code."""
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    # uvicorn raises the signal once more when it has drained; an orderly stop is no failure, so let that pass.
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: None)
    try:
        server.run(sockets)
    except SystemExit:  # uvicorn's way out when the start fails
        return STARTUP_FAILURE
    return 0 if server.started else STARTUP_FAILURE


def _log_failure(completing: "asyncio.Task[None]") -> None:
    if not completing.cancelled() and (error := completing.exception()):
        log.error("start_not_completed", exc_info=error)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line says more than that the start has failed, which the line before it has said with the reason."""
    return record.msg != "Application startup failed. Exiting."


class Server(uvicorn.Server):
    """Reports 'not ready' before it closes the port, so that load balancers stop sending requests first.

    Args:
        config: of uvicorn.
        lifecycle: shared with the application.
        settings: of the service.
        certificate: of the port; None where it does not speak TLS.
    """

    def __init__(
        self, config: uvicorn.Config, lifecycle: Lifecycle, settings: Settings, certificate: Certificate | None
    ) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle
        self._settings = settings
        self._certificate = certificate

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Load the models, listen, then print the addresses."""
        await super().startup([])
        sys.setswitchinterval(SWITCH_SECONDS)
        try:
            for each in sockets or ():
                self.servers.append(self.listen(each))  # type: ignore[arg-type]
        except OSError as error:  # another process was faster
            report_failure(error)
            await self.lifespan.shutdown()
            sys.exit(STARTUP_FAILURE)
        self.handle_hangup()
        self.announce(sockets or ())
        completing = asyncio.create_task(self._complete())
        completing.add_done_callback(_log_failure)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close all ports, and wait for the requests in flight."""
        self._lifecycle.drain()
        await super().shutdown(sockets)

    def announce(self, bound: Sequence[socket.socket]) -> None:
        """Print the addresses."""
        announce(bound, self._settings, self._lifecycle.served())
        announce_others(self._lifecycle.addresses, self._settings)

    def listen(self, bound: socket.socket) -> Acceptor:
        """Accept connections on a socket."""
        return Acceptor(bound, self.new_protocol, self.tls)

    async def _complete(self) -> None:
        """Do what was put off until the port was open."""
        app = self.config.app
        assert isinstance(app, Application)  # noqa: S101
        try:
            await asyncio.sleep(PUT_OFF_SECONDS)
            await app.complete()
        finally:
            gc.freeze()  # what is there now stays, and need not be looked through again
            gc.enable()

    @property
    def tls(self) -> ssl.SSLContext | None:
        """Of every connection; None where they are plain."""
        return None if self._certificate is None else self._certificate.context

    def new_protocol(self) -> asyncio.Protocol:
        """The protocol of a new connection."""
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        if self._lifecycle.stopping and isinstance(protocol, Protocol):
            protocol.close_after_response()
        return protocol

    def handle_hangup(self) -> None:
        """Read the certificate again at SIGHUP. Without one, stop as at SIGTERM: the terminal was closed."""
        loop = asyncio.get_running_loop()
        if self._certificate is None:
            loop.add_signal_handler(signal.SIGHUP, self.handle_exit, signal.SIGTERM, None)
        else:
            loop.add_signal_handler(signal.SIGHUP, self.reload_certificate)

    def reload_certificate(self) -> None:
        """Read the certificate again."""
        assert self._certificate is not None  # noqa: S101
        self._certificate.reload()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal, stop at once at the second."""
        delay, is_second = self._settings.shutdown_delay_seconds, self._lifecycle.stopping
        self._lifecycle.stop(self._settings.stop_seconds)
        if is_second or not delay:
            super().handle_exit(sig, frame)
            return
        log.info("stopping", seconds=delay)
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe(self._say_that_responses_are_last)
        loop.call_soon_threadsafe(loop.call_later, delay, super().handle_exit, sig, frame)

    def _say_that_responses_are_last(self) -> None:
        """Have clients leave before the port closes: a request must not meet a connection that is closed when idle."""
        for connection in self.server_state.connections:
            if isinstance(connection, Protocol):
                connection.close_after_response()
