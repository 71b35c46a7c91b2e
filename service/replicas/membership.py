"""Membership of one replica among those that share a store: heartbeats, announcements, and the state of the store.

Each part of the service that shares something watches a topic: its handler reads what has changed from the store, when
another replica announces a change, and periodically, since an announcement may be lost. Handlers of different topics do
not wait for each other.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog

from service.host.clock import steady
from service.replicas.member import Member
from service.replicas.store import Store, StoreUnavailable

log = structlog.get_logger()

HEARTBEAT_SECONDS = 2.0
MISSED_SECONDS = 7.0
"""After the last heartbeat, a replica is not a member any more."""

_PREFIX = "member/"
_CHANNEL = "changes"

Handler = Callable[[], Awaitable[None]]
"""Reads what has changed. Raises StoreUnavailable."""


class Membership:
    """This replica among the others. Belongs to one event loop.

    Args:
        store: shared with the others.
        member: this replica, as it starts.
        count_requests: returns how many requests this replica has answered.
        heartbeat: seconds between two heartbeats.

    Attributes:
        store: shared with the others.
        unavailable_since: when the store stopped answering, in seconds since 1970; None while it answers.
    """

    def __init__(
        self,
        store: Store,
        member: Member,
        count_requests: Callable[[], int] = lambda: 0,
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> None:
        self.store = store
        self.unavailable_since: float | None = None
        self._member = member
        self._count_requests = count_requests
        self._heartbeat = heartbeat
        self._handlers: dict[str, Handler] = {}
        self._announced: dict[str, asyncio.Event] = {}
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] | None = None
        self._size = 1

    @property
    def member(self) -> Member:
        """This replica, as the others see it."""
        return self._member

    @property
    def id(self) -> str:
        """Id of this replica."""
        return self._member.id

    @property
    def size(self) -> int:
        """How many replicas there were when they were last listed."""
        return self._size

    @property
    def is_available(self) -> bool:
        """Whether the store answers."""
        return self.unavailable_since is None

    def watch(self, topic: str, handler: Handler) -> None:
        """Call the handler when a topic is announced, and periodically, while the membership runs."""
        self._handlers[topic] = handler
        self._announced[topic] = asyncio.Event()
        if self._tasks is not None:
            self._tasks.append(asyncio.create_task(self._handle(topic)))

    async def update(self, **changes: Any) -> None:
        """Change what the others see of this replica, and announce it."""
        self._member = self._member.model_copy(update=changes)
        await self._beat()
        await self.announce("members")

    async def members(self) -> list[Member]:
        """Returns all live replicas, the longest running first.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        values = await self.observe(self.store.get_many(_PREFIX))
        members = [member for value in values.values() if (member := Member.from_value(value)) is not None]
        self._size = len(members)
        return sorted(members, key=lambda member: (member.started, member.id))

    async def announce(self, topic: str) -> None:
        """Let all replicas, this one among them, call their handlers of a topic.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        await self.observe(self.store.publish(_CHANNEL, topic.encode()))

    async def wait_for_change(self, seconds: float) -> None:
        """Return when another replica has announced something, or the time is up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        self._changed.clear()

    async def observe(self, call: Awaitable[Any]) -> Any:
        """Returns the result of a call of the store, and notes whether it answers.

        Raises:
            StoreUnavailable: it does not.
        """
        try:
            result = await call
        except StoreUnavailable as error:
            if self.unavailable_since is None:
                self.unavailable_since = steady()
                log.error("store_unavailable", store=self.store.name, error=str(error))
            raise
        if self.unavailable_since is not None:
            log.info("store_available", store=self.store.name, seconds=round(steady() - self.unavailable_since, 1))
            self.unavailable_since = None
        return result

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be a member, send heartbeats and call handlers until the end of the block; then leave."""
        with suppress(StoreUnavailable):
            await self._beat()
        works = [self._beat_periodically(), self._listen(), *(self._handle(topic) for topic in self._handlers)]
        self._tasks = tasks = [asyncio.create_task(work) for work in works]
        try:
            yield
        finally:
            self._tasks = None
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with suppress(StoreUnavailable):
                await self.store.delete(_PREFIX + self.id)
                await self.store.publish(_CHANNEL, b"members")
            await self.store.close()

    async def _beat(self) -> None:
        self._member = self._member.model_copy(update={"requests": self._count_requests()})
        await self.observe(self.store.put(_PREFIX + self.id, self._member.to_value(), MISSED_SECONDS))

    async def _beat_periodically(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat)
            with suppress(StoreUnavailable):
                await self._beat()
                await self.members()

    async def _listen(self) -> None:
        while True:
            with suppress(StoreUnavailable):
                async with self.store.subscribe(_CHANNEL) as messages:
                    async for message in messages:
                        self._wake(message.decode(errors="replace"))  # others may use the channel as well
            await asyncio.sleep(self._heartbeat)

    def _wake(self, topic: str) -> None:
        """Call a topic's handler. A topic of another release has none."""
        self._changed.set()
        if (announced := self._announced.get(topic)) is not None:
            announced.set()

    async def _handle(self, topic: str) -> None:
        handler, announced = self._handlers[topic], self._announced[topic]
        while True:
            announced.clear()
            try:
                await self.observe(handler())
            except StoreUnavailable:
                pass  # noted; the next heartbeat tries again
            except Exception as error:  # a value of the store may be anything
                log.error("change_not_applied", topic=topic, exc_info=error)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._heartbeat):
                    await announced.wait()
