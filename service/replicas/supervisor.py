"""Starts the workers, publishes state to them, merges their statistics, and replaces those that die.

Other parts of the control process reach the workers through it, over their links (`service.replicas.link`): `on`
registers a handler for the messages of all workers, and `publish` sends a piece of state to every worker, and to those
that start later before they serve.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import structlog

from service.replicas.connection_counts import ConnectionCounts
from service.replicas.interface import STATISTICS_MESSAGE, Handler
from service.replicas.link import HandlerFailed, Link, LinkClosed
from service.replicas.processes import WorkerProcesses
from service.settings import Settings
from service.telemetry.statistics import ServiceStatistics

log = structlog.get_logger()

_POLL_SECONDS = 1.0
_GATHER_SECONDS = 2.0
"""After this time, the last known statistics of a worker are used."""
_HUNG_SECONDS = 60.0
"""A worker that does not answer for this long is killed."""
_ATTEMPTS = 5
"""Failed starts in a row, while no other worker serves, after which the service stops."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
"""Seconds between a death and the next start: doubled each time, until a worker has run for the longest."""
_GRACE_SECONDS = 2.0
"""How long a worker has to end by itself, after its requests have had their time."""


@dataclass(eq=False)
class _Worker:
    """A worker process.

    Attributes:
        process: the process.
        link: to the process.
        serving: whether it accepts connections.
        counted: its statistics, when it was last asked.
    """

    process: asyncio.subprocess.Process
    link: Link
    serving: bool = False
    counted: ServiceStatistics = field(default_factory=ServiceStatistics)


class Supervisor:
    """Keeps as many workers running as the settings say.

    An implementation of `service.replicas.interface.Replicas`, for the control process.

    Args:
        settings: of the service.
        listening: the sockets that the workers share, bound.
        control: the unix socket on which the control process answers what workers forward.
    """

    predicts_here = False

    def __init__(self, settings: Settings, listening: Sequence[socket.socket], control: Path) -> None:
        self._settings = settings
        self._handed_over = settings.for_worker().to_json()
        self._listening = listening
        self._control = control
        self._memory = os.memfd_create("denge-connections")
        os.ftruncate(self._memory, 4 * settings.workers)
        self._connections = ConnectionCounts(self._memory, settings.workers)
        self._workers: list[_Worker] = []
        self._dead = ServiceStatistics()
        self._handlers: dict[str, Handler] = {}
        self._published: dict[str, bytes] = {}
        self._keeping: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop
        self._give_up: Callable[[], None]
        self._ready = asyncio.Event()
        self._all_served = asyncio.Event()
        self._stopping = asyncio.Event()
        self.processes = WorkerProcesses(lambda: self.pids, lambda: self.serving, lambda: self.replaced)
        self.failed = False
        """Whether the workers cannot be started."""
        self.replaced = 0
        """How many workers have died."""

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that run."""
        return [worker.process.pid for worker in self._workers]

    @property
    def serving(self) -> int:
        """How many workers accept connections."""
        return sum(worker.serving for worker in self._workers)

    def on(self, kind: str, handler: Handler) -> None:
        """Call the handler for every message of a kind, from any worker."""
        self._handlers[kind] = handler
        for worker in self._workers:
            worker.link.on(kind, handler)

    async def publish(self, kind: str, payload: bytes) -> None:
        """Send a piece of state to every worker, in place of the last one of its kind. Returns when all use it.

        A worker that cannot apply it is replaced, so that all workers serve the same.
        """
        self._published[kind] = payload
        if self._ready.is_set():
            await asyncio.gather(*(self._send_state(worker, kind, payload) for worker in self._workers))

    def publish_from_thread(self, kind: str, payload: bytes) -> None:
        """`publish`, from a thread, which waits."""
        asyncio.run_coroutine_threadsafe(self.publish(kind, payload), self._loop).result()

    async def gather(self, own: ServiceStatistics) -> ServiceStatistics:
        """Statistics of this process, of the workers, and of those that have died.

        Of one that was killed, up to the last `_POLL_SECONDS` are lost; but no count ever falls.
        """
        await asyncio.gather(*(self._count(worker, _GATHER_SECONDS) for worker in self._workers if worker.serving))
        total = ServiceStatistics()
        for part in (own, self._dead, *(worker.counted for worker in self._workers)):
            total.merge(part)
        return total

    def start(self, give_up: Callable[[], None]) -> None:
        """Start the processes. They do not serve before `serve`.

        Args:
            give_up: called once it is clear that they cannot be started.
        """
        self._loop = asyncio.get_running_loop()
        self._give_up = give_up
        self._keeping = [self._loop.create_task(self._keep(number)) for number in range(self._settings.workers)]

    async def serve(self) -> None:
        """Let the workers serve. Returns when all serve, when they cannot be started, or after `stop_waiting`."""
        self._ready.set()
        await self._all_served.wait()

    def stop_waiting(self) -> None:
        """Let `serve` return, although some workers do not serve yet."""
        self._all_served.set()

    async def drain(self) -> None:
        """Let the workers finish their requests. Returns when they have ended."""
        self._stopping.set()
        for worker in self._workers:
            worker.link.send("drain")
        _, late = await asyncio.wait(self._keeping, timeout=self._settings.drain_seconds + _GRACE_SECONDS)
        if late:
            self.kill()
            await asyncio.wait(late)

    def kill(self) -> None:
        """Kill the workers."""
        for worker in self._workers:
            _kill(worker)

    async def _keep(self, number: int) -> None:
        """Keep one worker running: start it, and start another one when it has died."""
        deaths = failures = 0
        while True:
            started = monotonic()
            try:
                served = await self._live(number)
            except OSError as error:  # no memory or no number left for another process
                log.error("worker_not_started", error=str(error))
                served = False
            if self._stopping.is_set():
                return
            self.replaced += 1
            failures = 0 if served else failures + 1
            if failures >= _ATTEMPTS and not (self._all_served.is_set() and self.serving):
                log.critical("workers_cannot_be_started")
                self.failed = True
                self._stopping.set()
                self._all_served.set()
                self._give_up()
                return
            deaths = 1 if monotonic() - started > _LONGEST_PAUSE else min(deaths + 1, 10)
            with suppress(TimeoutError):
                async with asyncio.timeout(min(_FIRST_PAUSE * 2 ** (deaths - 1), _LONGEST_PAUSE)):
                    await self._stopping.wait()
                    return

    async def _live(self, number: int) -> bool:
        """Start a worker, and wait for its end. Returns whether it ever served."""
        self._connections.set_not_serving(number)
        worker = await self._start(number)
        self._workers.append(worker)
        if self._stopping.is_set():
            _kill(worker)
        tasks = [self._loop.create_task(work) for work in (worker.link.run(), self._begin(worker), self._watch(worker))]
        code = await worker.process.wait()
        self._connections.set_not_serving(number)
        worker.link.close()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        self._workers.remove(worker)
        for version in worker.counted.versions.values():
            version.pending = 0
        self._dead.merge(worker.counted)
        if not self._stopping.is_set():
            log.error("worker_died", pid=worker.process.pid, code=code, served=worker.serving)
        return worker.serving

    async def _start(self, number: int) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs, ExitStack() as undo:
            undo.enter_context(ours)
            sockets = [each.fileno() for each in self._listening]
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "service.workers.worker", f"--number={number}", f"--control={self._control}"),
                *(f"--link={theirs.fileno()}", f"--shares={self._memory}", "--listening", *map(str, sockets)),
                stdin=asyncio.subprocess.PIPE,
                pass_fds=(*sockets, theirs.fileno(), self._memory),
                start_new_session=True,  # Ctrl-C is for the control process alone, which then drains them
            )
            undo.pop_all()
        link = await Link.open(ours)
        for kind, handler in self._handlers.items():
            link.on(kind, handler)
        assert process.stdin is not None  # noqa: S101
        with suppress(ConnectionError, RuntimeError):  # it has died; uvloop raises the latter
            process.stdin.write(self._handed_over)
            await process.stdin.drain()
            process.stdin.close()
        return _Worker(process, link)

    async def _begin(self, worker: _Worker) -> None:
        """Send a new worker what has been published, and let it serve."""
        await self._ready.wait()
        with suppress(LinkClosed):
            for kind in list(self._published):
                # The worker has logged what it could not load, and serves the rest, as a service that starts does.
                with suppress(HandlerFailed):
                    await worker.link.request(kind, self._published[kind])
            await worker.link.request("serve")
            worker.serving = True
            log.info("worker_serves", pid=worker.process.pid)
            if self.serving == self._settings.workers:
                self._all_served.set()

    async def _watch(self, worker: _Worker) -> None:
        """Keep a worker's statistics, in case it dies, and kill it when it hangs."""
        answers = True
        while answers:
            await asyncio.sleep(_POLL_SECONDS)
            answers = await self._count(worker, _HUNG_SECONDS)
        log.error("worker_hangs", pid=worker.process.pid)
        _kill(worker)

    async def _count(self, worker: _Worker, seconds: float) -> bool:
        """Ask a worker for its statistics. Returns whether it has answered in time."""
        try:
            async with asyncio.timeout(seconds):
                worker.counted = ServiceStatistics.from_json(await worker.link.request(STATISTICS_MESSAGE))
        except TimeoutError:
            return False
        except LinkClosed:
            pass  # it has died, and its last word stands
        return True

    async def _send_state(self, worker: _Worker, kind: str, payload: bytes) -> None:
        try:
            await worker.link.request(kind, payload)
        except LinkClosed:
            pass  # its successor will be given it
        except HandlerFailed as error:
            log.error("worker_state_not_applied", pid=worker.process.pid, kind=kind, error=str(error))
            _kill(worker)


def _kill(worker: _Worker) -> None:
    with suppress(ProcessLookupError):
        worker.process.kill()
