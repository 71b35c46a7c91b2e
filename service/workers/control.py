"""The control process of several workers: it has the whole application, and answers no predictions itself.

It opens the port and passes it to the workers. They answer predictions, and forward every other request to this process
over a private unix socket (`service.http.forward`): the answer is the same, whichever worker is asked.
"""

import asyncio
import socket
import tempfile
from pathlib import Path
from types import FrameType

import uvicorn

from service.app import create_app
from service.host.lifecycle import Lifecycle
from service.http.server import STARTUP_FAILURE, Server, announce, configure, run
from service.replicas.supervisor import Supervisor
from service.settings import Settings


def serve(settings: Settings) -> int:
    """Serve until a signal stops the process. Returns its exit code."""
    try:
        listening = uvicorn.Config("", host=settings.host, port=settings.port, log_config=None).bind_socket()
    except SystemExit:  # uvicorn's way out when the port is taken
        return STARTUP_FAILURE
    # The folder is for this user alone, so the socket is as well.
    with listening, tempfile.TemporaryDirectory(prefix="denge-") as private:
        path = Path(private) / "control.sock"
        lifecycle = Lifecycle()
        workers = Supervisor(settings, listening, path)
        # The workers date their answers, these among them.
        config = configure(create_app(settings, lifecycle, workers), settings, uds=str(path), date_header=False)
        server = _ControlServer(config, lifecycle, settings.shutdown_delay_seconds, workers, listening)
        exit_code = run(server)
        return STARTUP_FAILURE if workers.failed else exit_code


class _ControlServer(Server):
    """Starts serving after its workers, and stops after them.

    Args:
        config, lifecycle, shutdown_delay: of the server.
        workers: the workers.
        listening: the socket that they share.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        lifecycle: Lifecycle,
        shutdown_delay: float,
        workers: Supervisor,
        listening: socket.socket,
    ) -> None:
        super().__init__(config, lifecycle, shutdown_delay)
        self._workers = workers
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the workers, load the models meanwhile, and print the addresses when every worker serves."""
        self._workers.start(self._give_up)
        await uvicorn.Server.startup(self, sockets)
        await self._workers.serve()
        if not self._lifecycle.stopping and not self._workers.failed:
            announce(self._listening)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain the workers, which may need this process, then stop."""
        self._listening.close()
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
