"""Server-sent events: alarms when they begin or end, steps of `auto` mode, and the traffic every second.

The number of subscribers is bounded, of all and of each client, and so is the queue of each, so that nothing waits for
a slow one. The traffic is published while there is a subscriber; it also shows which connections have died.

The format is that of the HTML standard, section 9.2.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic

from pydantic import BaseModel

from models.errors import Overloaded
from service.host.lifecycle import Lifecycle
from service.telemetry.statistics import Gather
from service.watching.alarms.alarm import Alarm
from service.watching.alarms.subscriber import Subscriber
from service.watching.alarms.traffic import TrafficReading

MAX_SUBSCRIBERS = 64
MAX_SUBSCRIPTIONS_PER_CLIENT = 16
"""Of these."""
MAX_OPERATORS = 16
"""Subscribers with the admin token, who take no place of the others."""
RETRY_SECONDS = 5.0
TRAFFIC_SECONDS = 1.0


class Events:
    """Publishes alarms and traffic to subscribers.

    Args:
        gather: returns the statistics that traffic is read from.
        lifecycle: subscribers are closed when the service stops.
        interval: seconds between two events of traffic.
        clock: seconds, never going back.
    """

    def __init__(
        self,
        gather: Gather,
        lifecycle: Lifecycle,
        interval: float = TRAFFIC_SECONDS,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._gather = gather
        self._lifecycle = lifecycle
        self._interval = interval
        self._clock = clock
        self._subscribers: set[Subscriber] = set()
        self._by_client: Counter[str] = Counter()
        self._operators = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._publishing: asyncio.Task[None] | None = None
        self._last_reading = TrafficReading(0.0, 0, {})

    @contextmanager
    def subscribe(self, client: str = "", *, is_operator: bool = False) -> Iterator[Subscriber]:
        """Subscribe until the end of the block.

        Args:
            client: the identity of who subscribes; empty where that is not known.
            is_operator: whether it has the admin token.

        Raises:
            Overloaded: there are as many subscribers as there may be, of all clients or of this one.
        """
        with self._operator() if is_operator else self._client(client):
            subscriber = Subscriber()
            self._subscribers.add(subscriber)
            self._loop = asyncio.get_running_loop()
            if self._publishing is None or self._publishing.done():
                self._publishing = self._loop.create_task(self._publish_periodically())
            try:
                yield subscriber
            finally:
                self._subscribers.discard(subscriber)

    def publish_alarm(self, alarm: Alarm) -> None:
        """Publish an alarm that begins or ends. From any thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(self._publish, "drift", alarm)

    def publish_step(self, step: BaseModel) -> None:
        """Publish a step of `auto` mode."""
        self._publish("auto", step)

    async def publish_traffic(self) -> None:
        """Publish the traffic since the last call."""
        reading = await self._read()
        self._publish("statistics", reading.since(self._last_reading))
        self._last_reading = reading

    @contextmanager
    def _operator(self) -> Iterator[None]:
        if self._operators >= MAX_OPERATORS:
            raise Overloaded(f"{MAX_OPERATORS} operators subscribe to events already: try again later", RETRY_SECONDS)
        self._operators += 1
        try:
            yield
        finally:
            self._operators -= 1

    @contextmanager
    def _client(self, client: str) -> Iterator[None]:
        if self._by_client.total() >= MAX_SUBSCRIBERS:
            raise Overloaded(f"{MAX_SUBSCRIBERS} clients subscribe to events already: try again later", RETRY_SECONDS)
        if client and self._by_client[client] >= MAX_SUBSCRIPTIONS_PER_CLIENT:
            raise Overloaded(
                f"this client has {MAX_SUBSCRIPTIONS_PER_CLIENT} subscriptions to events already: close one, or try "
                "again later",
                RETRY_SECONDS,
            )
        self._by_client[client] += 1
        try:
            yield
        finally:
            self._by_client -= Counter([client])

    def _publish(self, kind: str, data: BaseModel) -> None:
        event = f"event: {kind}\ndata: {data.model_dump_json()}\n\n".encode()
        for subscriber in self._subscribers:
            subscriber.publish(event)

    async def _publish_periodically(self) -> None:
        """Publish the traffic while there are subscribers."""
        try:
            self._last_reading = await self._read()
            while self._subscribers and not self._lifecycle.stopping:
                await asyncio.sleep(self._interval)
                await self.publish_traffic()
        finally:  # after a failure as well: they connect again
            for subscriber in self._subscribers:
                subscriber.close()

    async def _read(self) -> TrafficReading:
        return TrafficReading.of(await self._gather(), self._clock())
