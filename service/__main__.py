"""python -m service: settings to a server."""

import gc
import socket
import sys
from collections.abc import Callable

if __name__ == "__main__":
    gc.disable()  # until the server has started: hardly anything of what is imported and built is garbage

from service import settings
from service.host import descriptors, streams, structlog_without_rich  # noqa: F401
from service.host.lifecycle import Lifecycle
from service.http.opening import STARTUP_FAILURE, listening, report_failure
from service.http.tls import Certificate, open_certificate
from service.settings import ConfigurationError, Settings
from service.telemetry import logs

USAGE_ERROR = 2


def serve(chosen: Settings) -> int:
    """Serve until a signal stops the service, in one process or in several. Returns the exit code."""
    logs.configure(chosen.log_level, chosen.log_format)
    try:
        certificate = open_certificate(chosen)
        with listening(chosen) as sockets:
            return _serve(with_port(chosen, sockets), sockets, certificate)
    except OSError as error:
        report_failure(error)
        return STARTUP_FAILURE


def _serve(chosen: Settings, sockets: list[socket.socket], certificate: Certificate | None) -> int:
    if chosen.workers > 1:
        gc.enable()
        from service.workers import supervisor  # noqa: PLC0415 - one process does not need it

        return supervisor.serve(chosen, sockets)
    gc.disable()  # as above, for the command `denge`
    try:
        # The process that keeps several workers answers no requests, and needs neither.
        from service.app import create_app  # noqa: PLC0415
        from service.http.server import Server, configure, run  # noqa: PLC0415

        lifecycle = Lifecycle()
        config = configure(create_app(chosen, lifecycle, certificate=certificate), chosen)
        return run(Server(config, lifecycle, chosen, certificate), sockets)
    finally:
        gc.enable()


def with_port(chosen: Settings, sockets: list[socket.socket]) -> Settings:
    """The settings with the port that the system has chosen, where none was given."""
    if chosen.uds is not None or chosen.port:
        return chosen
    return chosen.model_copy(update={"port": sockets[0].getsockname()[1]})


def main(arguments: list[str]) -> int:
    """Read the settings and serve. Returns the exit code."""
    return serve_with(lambda: settings.load(arguments))


def serve_with(load: Callable[[], Settings]) -> int:
    """Load the settings and serve. Returns the exit code."""
    streams.reserve_standard_streams()
    descriptors.make_room()
    try:
        return serve(load())
    except ConfigurationError as error:
        streams.standard_error().write(f"{error}\n".encode())
        return USAGE_ERROR


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
