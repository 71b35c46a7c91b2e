"""Who the members are, and what is announced to them."""

import asyncio
from datetime import UTC, datetime

from service.replicas.member import Member
from service.replicas.membership import MISSED_SECONDS, Membership
from service.replicas.memory import MemoryStore
from tests.awaiting import within_time


def member(name: str, second: int = 0) -> Member:
    started = datetime(2026, 1, 1, second=second, tzinfo=UTC)
    return Member(id=name, address="http://127.0.0.1", version="1", started=started)


def test_a_member_is_one_until_it_leaves_or_misses_heartbeats() -> None:
    now = [0.0]

    async def test() -> None:
        store = MemoryStore(lambda: now[0])
        first = Membership(store, member("first", 2), lambda: 7, heartbeat=3600)
        second = Membership(store, member("second", 1), heartbeat=3600)
        async with first.running():
            async with second.running():
                await first.update(catalog=5)
                found = await second.members()
                assert [(each.id, each.requests, each.catalog) for each in found] == [("second", 0, 0), ("first", 7, 5)]
                assert second.size == 2
            assert [each.id for each in await first.members()] == ["first"]
            now[0] += MISSED_SECONDS
            assert await first.members() == []

    asyncio.run(test())


def test_an_announcement_calls_the_handlers_of_its_topic_in_every_replica() -> None:
    async def test() -> None:
        store = MemoryStore()
        called: asyncio.Queue[str] = asyncio.Queue()
        memberships = []
        for name in ("a", "b"):
            membership = Membership(store, member(name), heartbeat=3600)
            for topic in ("catalog", "jobs"):

                async def note(heard: str = f"{name} {topic}") -> None:
                    await called.put(heard)

                membership.watch(topic, note)
            memberships.append(membership)
        async with memberships[0].running(), memberships[1].running():
            at_start = {await called.get() for _ in range(4)}
            assert at_start == {"a catalog", "a jobs", "b catalog", "b jobs"}
            await memberships[0].announce("of another release")
            await memberships[0].announce("jobs")
            assert {await called.get() for _ in range(2)} == {"a jobs", "b jobs"}
            assert called.empty()

    asyncio.run(within_time(test(), "a handler was not called"))


def test_a_message_that_is_no_text_ends_no_announcements() -> None:
    async def test() -> None:
        store = MemoryStore()
        calls = asyncio.Queue[None]()
        membership = Membership(store, member("a"), heartbeat=3600)

        async def note() -> None:
            calls.put_nowait(None)

        membership.watch("jobs", note)
        async with membership.running():
            await calls.get()  # at the start
            await store.publish("changes", b"\xff")
            await membership.announce("jobs")
            await calls.get()

    asyncio.run(within_time(test(), "an announcement was not heard"))


def test_a_handler_that_fails_is_called_again() -> None:
    async def test() -> None:
        calls = asyncio.Queue[None]()
        membership = Membership(MemoryStore(), member("a"), heartbeat=0.001)

        async def fail() -> None:
            calls.put_nowait(None)
            raise ValueError("a value that nobody expected")

        membership.watch("jobs", fail)
        async with membership.running():
            for _ in range(3):
                await calls.get()

    asyncio.run(within_time(test(), "the handler was not called again"))


def test_a_topic_that_is_watched_later_is_handled_as_the_others_are() -> None:
    async def test() -> None:
        called: asyncio.Queue[str] = asyncio.Queue()

        async def note() -> None:
            await called.put("jobs")

        membership = Membership(MemoryStore(), member("a"), heartbeat=3600)
        async with membership.running():
            membership.watch("jobs", note)
            assert await called.get() == "jobs"
            await membership.announce("jobs")
            assert await called.get() == "jobs"
        assert called.empty()

    asyncio.run(within_time(test(), "the handler was not called"))
