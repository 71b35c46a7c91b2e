"""Keeps several replicas running on one port: starts them, replaces those that die, and ends them.

It does nothing else: no request passes through it, and it holds no model. What concerns all replicas is in their store.
"""

import asyncio
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import structlog

from service.host.lifecycle import Lifecycle
from service.host.process_exit import describe_exit
from service.host.sockets import describe, resolve, shared_port
from service.http.opening import STARTUP_FAILURE, announce, announce_others
from service.replicas.worker_group import WorkerTable
from service.settings import Settings

log = structlog.get_logger()

_HUNG_SECONDS = 60.0
"""A worker that serves and sends nothing for this long is killed."""
_ATTEMPTS = 5
"""Failed starts in a row, while no other worker serves, after which the service stops."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
"""Seconds between a death and the next start: doubled each time, until a worker has run for the longest."""
_GRACE_SECONDS = 2.0
"""How long the workers have to end by themselves, after their requests have had their time."""


def serve(chosen: Settings, sockets: list[socket.socket]) -> int:
    """Serve until a signal stops the process. Returns its exit code."""
    # The folder is for this user alone, so the sockets in it are as well.
    with tempfile.TemporaryDirectory(prefix="denge-") as private, ExitStack() as stack:
        lifecycle = Lifecycle()
        if chosen.grpc_port is not None:
            address = resolve(chosen.host)[0]
            port = stack.enter_context(shared_port(address, chosen.grpc_port))
            lifecycle.addresses["gRPC"] = describe(address.ip, port)
            chosen = chosen.model_copy(update={"grpc_port": port})
        return asyncio.run(Supervisor(chosen, sockets, Path(private), lifecycle).run())


@dataclass(eq=False)
class _Worker:
    """A worker process.

    Attributes:
        process: the process.
        lifeline: which it sends signs of life on.
        last_beat: when the last one came, on the monotonic clock; None before it serves.
    """

    process: asyncio.subprocess.Process
    lifeline: socket.socket
    last_beat: float | None = None


class Supervisor:
    """Keeps as many workers running as the settings say.

    Args:
        settings: of the service.
        listening: the sockets that the workers share, bound.
        folder: private, for the sockets of the workers.
        lifecycle: addresses of the service besides HTTP.
    """

    def __init__(
        self, settings: Settings, listening: Sequence[socket.socket], folder: Path, lifecycle: Lifecycle
    ) -> None:
        self._settings = settings
        self._handed_over = settings.for_worker().to_json()
        self._listening = listening
        self._folder = folder
        self._lifecycle = lifecycle
        self._group = secrets.token_hex(8)
        self._memory = os.memfd_create("denge-workers")
        os.ftruncate(self._memory, WorkerTable.size(settings.workers))
        self._table = WorkerTable(self._memory, settings.workers)
        for number in range(settings.workers):
            self._table.set_ended(number, died=False)
        self._workers: list[_Worker] = []
        self._stopping = asyncio.Event()
        self._has_failed = False
        self._is_announced = False

    async def run(self) -> int:
        """Keep the workers running until a signal comes. Returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        if self._settings.ssl_certfile is None:
            loop.add_signal_handler(signal.SIGHUP, self._stop)
        else:
            loop.add_signal_handler(signal.SIGHUP, self._signal, signal.SIGHUP)
        keeping = [asyncio.create_task(self._keep(number)) for number in range(self._settings.workers)]
        await self._stopping.wait()
        for each in self._listening:
            each.close()
        _, late = await asyncio.wait(keeping, timeout=self._settings.stop_seconds + _GRACE_SECONDS)
        if late:
            self._signal(signal.SIGKILL)
            await asyncio.wait(late)
        return STARTUP_FAILURE if self._has_failed else 0

    def _stop(self) -> None:
        """Let the workers drain at the first signal, and stop at once at the second."""
        self._signal(signal.SIGKILL if self._stopping.is_set() else signal.SIGTERM)
        self._stopping.set()

    def _signal(self, number: int) -> None:
        for worker in self._workers:
            with suppress(ProcessLookupError):
                worker.process.send_signal(number)

    async def _keep(self, number: int) -> None:
        """Keep one worker running: start it, and start another one when it has died."""
        deaths = failures = 0
        while not self._stopping.is_set():
            started = monotonic()
            try:
                has_served = await self._live(number)
            except OSError as error:  # no memory or no number left for another process
                log.error("worker_not_started", error=str(error))
                has_served = False
            self._table.set_ended(number, died=not self._stopping.is_set())
            failures = 0 if has_served else failures + 1
            if failures >= _ATTEMPTS and not self._table.serving and not self._stopping.is_set():
                log.critical("workers_cannot_be_started")
                self._has_failed = True
                self._stop()
            deaths = 1 if monotonic() - started > _LONGEST_PAUSE else min(deaths + 1, 10)
            with suppress(TimeoutError):
                async with asyncio.timeout(min(_FIRST_PAUSE * 2 ** (deaths - 1), _LONGEST_PAUSE)):
                    await self._stopping.wait()

    async def _live(self, number: int) -> bool:
        """Start a worker, and wait for its end. Returns whether it ever served."""
        worker = await self._start(number)
        self._table.set_started(number, worker.process.pid)
        self._workers.append(worker)
        if self._stopping.is_set():
            worker.process.kill()
        listening = asyncio.create_task(self._listen(worker))
        watching = asyncio.create_task(self._watch(worker))
        code = await worker.process.wait()
        self._workers.remove(worker)
        for task in (listening, watching):
            task.cancel()
        await asyncio.wait([listening, watching])
        worker.lifeline.close()
        if not self._stopping.is_set():
            log.error(
                "worker_died", pid=worker.process.pid, ended=describe_exit(code), served=worker.last_beat is not None
            )
        return worker.last_beat is not None

    async def _start(self, number: int) -> _Worker:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs, ExitStack() as undo:
            undo.enter_context(ours)
            sockets = [each.fileno() for each in self._listening]
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "service.workers.worker", f"--number={number}", f"--group={self._group}"),
                *(f"--folder={self._folder}", f"--lifeline={theirs.fileno()}", f"--table={self._memory}"),
                *("--listening", *map(str, sockets)),
                stdin=asyncio.subprocess.PIPE,
                pass_fds=(*sockets, theirs.fileno(), self._memory),
                start_new_session=True,  # Ctrl-C is for this process alone, which then stops them
            )
            undo.pop_all()
        assert process.stdin is not None  # noqa: S101
        with suppress(ConnectionError):  # it has died
            process.stdin.write(self._handed_over)
            await process.stdin.drain()
            process.stdin.close()
        return _Worker(process, ours)

    async def _listen(self, worker: _Worker) -> None:
        """Note the signs of life of a worker, and print the addresses when all serve."""
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            while await loop.sock_recv(worker.lifeline, 64):
                if worker.last_beat is None:
                    log.info("worker_serves", pid=worker.process.pid)
                worker.last_beat = monotonic()
                if not self._is_announced and self._table.serving == self._settings.workers:
                    self._is_announced = True
                    announce(self._listening, self._settings)
                    announce_others(self._lifecycle.addresses, self._settings)

    async def _watch(self, worker: _Worker) -> None:
        """Kill a worker that hangs."""
        while worker.last_beat is None or monotonic() - worker.last_beat < _HUNG_SECONDS:  # noqa: ASYNC110 - nothing happens
            await asyncio.sleep(1.0)
        log.error("worker_hangs", pid=worker.process.pid)
        with suppress(ProcessLookupError):
            worker.process.kill()
