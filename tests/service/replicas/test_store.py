"""What every store promises: memory, SQLite, and a real Valkey or Redis."""

import asyncio
from collections.abc import AsyncIterator

from service.replicas.store import ABSENT, Store, revision_of
from tests.service.replicas.conftest import Stores


def test_a_value_is_what_was_put_last_whichever_replica_asks(stores: Stores) -> None:
    async def test(first: Store, second: Store) -> None:
        assert await first.get("a") is None
        await first.put("a", b"\x00old")
        await second.put("a", b"\xffnew")
        await second.put("a", b"\xffnew")

        assert await first.get("a") == await second.get("a") == b"\xffnew"
        await first.delete("a")
        await first.delete("a")
        assert await second.get("a") is None

    stores.run(test)


def test_a_value_ends_with_its_time_to_live_and_not_before(stores: Stores) -> None:
    async def test(first: Store, second: Store) -> None:
        await first.put("short", b"1", 10)
        await first.put("long", b"2", 30)
        await first.put("kept", b"3")
        stores.elapse(5)
        await first.put("short", b"4", 10)
        stores.elapse(8)
        assert await second.get_many("") == {"kept": b"3", "long": b"2", "short": b"4"}

        stores.elapse(3)

        assert await second.get("short") is None
        assert await second.get_many("") == {"kept": b"3", "long": b"2"}
        await second.put("short", b"5", 10)
        assert await first.get_many("s") == {"short": b"5"}
        await first.put("long", b"6")
        stores.elapse(100)
        assert await first.get_many("") == {"kept": b"3", "long": b"6"}

    stores.run(test)


def test_values_of_a_prefix(stores: Stores) -> None:
    async def test(store: Store) -> None:
        for key in ("m/a/2", "m/a/1", "m/a.b/1", "m/ab", "n", "m/a/\u00e9"):
            await store.put(key, key.encode())

        assert list(await store.get_many("m/a/")) == ["m/a/1", "m/a/2", "m/a/\u00e9"]
        assert set(await store.get_many("m/a")) == {"m/a/1", "m/a/2", "m/a/\u00e9", "m/a.b/1", "m/ab"}
        assert await store.get_many("x") == {}

    stores.run(test, replicas=1)


def test_a_value_is_set_only_if_it_has_not_changed(stores: Stores) -> None:
    async def test(first: Store, second: Store) -> None:
        assert await first.compare_and_set("a", ABSENT, b"1")
        assert not await second.compare_and_set("a", ABSENT, b"2")
        assert await second.compare_and_set("a", revision_of(b"1"), b"2", 10)
        assert not await first.compare_and_set("a", revision_of(b"1"), b"3")
        assert await first.get("a") == b"2"

        # The answer was lost, and the call is repeated.
        assert await second.compare_and_set("a", revision_of(b"1"), b"2", 10)

        stores.elapse(11)
        assert not await first.compare_and_set("a", revision_of(b"2"), b"4")
        assert await first.compare_and_set("a", ABSENT, b"5")

    stores.run(test)


def test_concurrent_changes_of_a_value_are_all_counted(stores: Stores) -> None:
    async def increments(store: Store, name: bytes) -> None:
        for _ in range(10):
            while True:
                value = await store.get("names")
                changed = (value or b"") + name
                if await store.compare_and_set("names", revision_of(value), changed):
                    break

    async def test(*replicas: Store) -> None:
        await asyncio.gather(*(increments(store, b"%d" % number) for number, store in enumerate(replicas)))
        value = await replicas[0].get("names") or b""
        assert sorted(value) == sorted(b"0123" * 10)

    stores.run(test, replicas=4)


def test_a_lease_has_one_holder_until_it_ends_or_is_released(stores: Stores) -> None:
    async def test(first: Store, second: Store) -> None:
        assert await first.lease("judge", "a", 10)
        assert not await second.lease("judge", "b", 10)
        assert await second.lease("job", "b", 10)
        stores.elapse(8)
        assert await first.lease("judge", "a", 10)
        stores.elapse(8)
        assert not await second.lease("judge", "b", 10)

        await second.release("judge", "b")  # it is not b's
        assert not await second.lease("judge", "b", 10)
        await first.release("judge", "a")
        await first.release("judge", "a")
        assert await second.lease("judge", "b", 10)

        # b dies.
        assert not await first.lease("judge", "a", 10)
        stores.elapse(11)
        assert await first.lease("judge", "a", 10)
        assert not await second.lease("judge", "b", 10)

    stores.run(test)


def test_one_of_many_gets_a_lease(stores: Stores) -> None:
    async def test(*replicas: Store) -> None:
        got = await asyncio.gather(*(store.lease("judge", str(number), 10) for number, store in enumerate(replicas)))
        assert sum(got) == 1

    stores.run(test, replicas=6)


def test_a_message_reaches_all_subscribers_of_its_channel(stores: Stores) -> None:
    async def test(first: Store, second: Store) -> None:
        await first.publish("catalog", b"before")
        async with (
            first.subscribe("catalog") as own,
            second.subscribe("catalog") as others,
            second.subscribe("alarms") as alarms,
        ):
            await first.publish("catalog", b"1")
            await second.publish("catalog", b"\x00\xff")
            await second.publish("alarms", b"3")

            assert [await anext(own), await anext(own)] == [b"1", b"\x00\xff"]
            assert [await anext(others), await anext(others)] == [b"1", b"\x00\xff"]
            assert await anext(alarms) == b"3"
        assert await _is_silent(first)

    async def _is_silent(store: Store) -> bool:
        """Nothing that was sent before a subscription comes after it."""
        async with store.subscribe("catalog") as messages:
            await store.publish("catalog", b"last")
            return await _first(messages) == b"last"

    async def _first(messages: AsyncIterator[bytes]) -> bytes:
        return await anext(messages)

    stores.run(test)
