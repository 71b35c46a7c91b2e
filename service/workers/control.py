"""The control process of several workers: it has the whole application, and answers no predictions itself.

It passes the sockets of the service to the workers. They answer predictions, and forward every other request to this
process over a private unix socket (`service.http.forward`): the answer is the same, whichever worker is asked.
"""

import asyncio
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import uvicorn

from service.app import create_app
from service.host.lifecycle import Lifecycle
from service.host.sockets import describe, resolve, shared_port
from service.http.server import STARTUP_FAILURE, Server, announce, announce_others, configure, run
from service.http.tls import Certificate
from service.replicas.interface import CERTIFICATE_MESSAGE
from service.replicas.supervisor import Supervisor
from service.settings import Settings


def serve(chosen: Settings, sockets: list[socket.socket], certificate: Certificate | None) -> int:
    """Serve until a signal stops the process. Returns its exit code."""
    lifecycle = Lifecycle()
    # The folder is for this user alone, so the socket is as well.
    with tempfile.TemporaryDirectory(prefix="denge-") as private, _with_grpc_port(chosen, lifecycle) as settings:
        path = Path(private) / "control.sock"
        workers = Supervisor(settings, sockets, path)
        application = create_app(settings, lifecycle, workers, certificate)
        # The workers date their answers, these among them.
        config = configure(application, settings, uds=str(path), date_header=False)
        server = _ControlServer(config, lifecycle, settings, certificate, workers, sockets)
        exit_code = run(server)
        return STARTUP_FAILURE if workers.failed else exit_code


@contextmanager
def _with_grpc_port(settings: Settings, lifecycle: Lifecycle) -> Iterator[Settings]:
    """The settings with a port for gRPC that all workers can listen on, if there is to be one."""
    if settings.grpc_port is None:
        yield settings
        return
    address = resolve(settings.host)[0]
    with shared_port(address, settings.grpc_port) as port:
        lifecycle.addresses["gRPC"] = describe(address.ip, port)
        yield settings.model_copy(update={"grpc_port": port})


class _ControlServer(Server):
    """Starts serving after its workers, and stops after them.

    Args:
        config, lifecycle, settings, certificate: of the server.
        workers: the workers.
        listening: the sockets that they share.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        lifecycle: Lifecycle,
        settings: Settings,
        certificate: Certificate | None,
        workers: Supervisor,
        listening: list[socket.socket],
    ) -> None:
        super().__init__(config, lifecycle, settings, certificate)
        self._workers = workers
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the workers, load the models meanwhile, and print the addresses when every worker serves."""
        self._workers.start(self._give_up)
        await uvicorn.Server.startup(self, sockets)
        await self._workers.serve()
        if not self._lifecycle.stopping and not self._workers.failed:
            self.reload_certificate_at_hangup()
            announce(self._listening, self._settings)
            announce_others(self._lifecycle.addresses)

    def reload_certificate(self) -> None:
        """Read the certificate again, in every process."""
        super().reload_certificate()
        self._reloading = asyncio.ensure_future(self._workers.publish(CERTIFICATE_MESSAGE, b""))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain the workers, which may need this process, then stop."""
        for each in self._listening:
            each.close()
        await self._workers.drain()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal, stop at once at the second."""
        super().handle_exit(sig, frame)
        if self.force_exit:
            self._workers.kill()
        asyncio.get_running_loop().call_soon_threadsafe(self._workers.stop_waiting)

    def _give_up(self) -> None:
        self.should_exit = True
