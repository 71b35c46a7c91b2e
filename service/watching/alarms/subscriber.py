"""A subscriber to events."""

import asyncio

import structlog

log = structlog.get_logger()

MAX_UNSENT_EVENTS = 64
"""A subscriber that falls further behind is closed."""


class Subscriber:
    """A bounded queue of events, closed when its reader does not keep up. Belongs to the event loop."""

    def __init__(self) -> None:
        self._unsent: asyncio.Queue[bytes] = asyncio.Queue(MAX_UNSENT_EVENTS)
        self._closed = asyncio.Event()

    @property
    def is_closed(self) -> bool:
        """Whether no more events are published to it."""
        return self._closed.is_set()

    def publish(self, event: bytes) -> None:
        """Add an event to the queue, or close the subscriber if the queue is full."""
        if self.is_closed:
            return
        try:
            self._unsent.put_nowait(event)
        except asyncio.QueueFull:
            log.info("slow_subscriber_closed")
            self.close()

    def close(self) -> None:
        """Publish no more events."""
        self._closed.set()

    async def wait_closed(self) -> None:
        """Return when the subscriber is closed."""
        await self._closed.wait()

    async def next(self) -> bytes:
        """Returns the next event, oldest first."""
        return await self._unsent.get()
