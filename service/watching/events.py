"""Server-sent events: what happens, told to whoever listens, as it happens.

There may be only so many listeners, and each may be only so far behind: one that is slower is let go, so that nothing
waits for it and nothing piles up. While anyone listens, all are told every second what has been served, which is also
how a connection that has died is noticed.

The format is that of the HTML standard, section 9.2.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

import structlog
from pydantic import BaseModel, Field

from models.errors import Overloaded
from service.host.lifecycle import Lifecycle
from service.telemetry.durations import DurationHistogram
from service.telemetry.statistics import Gather
from service.watching.alarm import Alarm

log = structlog.get_logger()

MOST_LISTENERS = 64
MOST_UNSENT = 64
"""Events that a listener may be behind."""

_SECONDS = 1.0


class Traffic(BaseModel):
    """What one version has done."""

    model: str
    version: str
    requests: int = Field(description="answered since the service started, failures among them")
    rows: int = Field(description="likewise")
    requests_per_second: float = Field(description="since the last event")
    rows_per_second: float = Field(description="likewise")
    p50_ms: float | None = Field(description="of the requests since the last event; null where there are none")
    p99_ms: float | None = Field(description="likewise")


class Serving(BaseModel):
    """What has been served."""

    time: datetime
    pending: int = Field(description="requests that wait for a run, or are in one")
    models: list[Traffic]


class Listener:
    """One who is told. Belongs to the event loop."""

    def __init__(self) -> None:
        self._unsent: asyncio.Queue[bytes] = asyncio.Queue(MOST_UNSENT)
        self._left = asyncio.Event()

    def tell(self, event: bytes) -> None:
        """Something has happened."""
        try:
            self._unsent.put_nowait(event)
        except asyncio.QueueFull:
            if not self._left.is_set():
                log.info("slow_listener_left")
            self.leave()

    def leave(self) -> None:
        """Nothing more will be told."""
        self._left.set()

    async def left(self) -> None:
        """Return when nothing more will be told."""
        await self._left.wait()

    async def next(self) -> bytes:
        """What has happened, in order."""
        return await self._unsent.get()


class Events:
    """Tells listeners of alarms and of traffic.

    Args:
        gather: what has been served.
        state: when the service stops, so does this.
    """

    def __init__(self, gather: Gather, state: Lifecycle) -> None:
        self._gather = gather
        self._state = state
        self._listeners: set[Listener] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._last = _Reading(0.0, 0, {})

    @contextmanager
    def listen(self) -> Iterator[Listener]:
        """Be told until the end of the block.

        Raises:
            Overloaded: too many listen.
        """
        if len(self._listeners) >= MOST_LISTENERS:
            raise Overloaded(f"{MOST_LISTENERS} listen to events already: try again later")
        listener = Listener()
        self._listeners.add(listener)
        self._loop = asyncio.get_running_loop()
        if self._ticking is None or self._ticking.done():
            self._ticking = self._loop.create_task(self._tick())
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def tell(self, alarm: Alarm) -> None:
        """An alarm begins or ends. From any thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(self._spread, "drift", alarm)

    async def tell_traffic(self) -> None:
        """What has been served since this was last called."""
        reading = await self._read()
        self._spread("statistics", reading.since(self._last))
        self._last = reading

    def _spread(self, kind: str, data: BaseModel) -> None:
        event = f"event: {kind}\ndata: {data.model_dump_json()}\n\n".encode()
        for listener in self._listeners:
            listener.tell(event)

    async def _tick(self) -> None:
        """As long as anyone listens."""
        self._last = await self._read()
        while self._listeners and not self._state.stopping:
            await asyncio.sleep(_SECONDS)
            await self.tell_traffic()
        for listener in self._listeners:
            listener.leave()

    async def _read(self) -> "_Reading":
        statistics = await self._gather()
        found = {}
        for version, counted in statistics.versions.items():
            tally = DurationHistogram()
            tally.merge(counted.success)
            tally.merge(counted.fail)
            found[version] = tally, counted.rows
        return _Reading(monotonic(), statistics.pending, found)


@dataclass(frozen=True)
class _Reading:
    """What had been served by then.

    Attributes:
        at: when, in seconds.
        pending: requests that wait for a run, or are in one.
        versions: requests and rows.
    """

    at: float
    pending: int
    versions: Mapping[tuple[str, int], tuple[DurationHistogram, int]]

    def since(self, before: "_Reading") -> Serving:
        """Compared with an earlier one."""
        seconds = max(self.at - before.at, 1e-9)
        models = []
        for (model, version), (requests, rows) in sorted(self.versions.items()):
            earlier, rows_earlier = before.versions.get((model, version), (DurationHistogram(), 0))
            lately = requests.since(earlier)
            models.append(
                Traffic(
                    model=model,
                    version=str(version),
                    requests=requests.count,
                    rows=rows,
                    requests_per_second=lately.count / seconds,
                    rows_per_second=(rows - rows_earlier) / seconds,
                    p50_ms=_ms(lately.quantile(0.5)),
                    p99_ms=_ms(lately.quantile(0.99)),
                )
            )
        return Serving(time=datetime.now(UTC), pending=self.pending, models=models)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 3)
