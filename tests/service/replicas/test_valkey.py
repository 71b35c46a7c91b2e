"""The store in Valkey or Redis, when its server fails."""

import asyncio

import pytest
from redis.asyncio import Redis

from service.replicas.store import StoreUnavailable
from service.replicas.valkey import ValkeyStore
from tests import valkey


def test_a_server_that_was_killed_and_started_again_is_used_again() -> None:
    async def test() -> None:
        store = ValkeyStore(server.url)
        await store.put("a", b"1")
        async with store.subscribe("catalog") as messages:
            server.kill()
            with pytest.raises(StoreUnavailable, match=f"Valkey at {server.path}, database 0. does not answer"):
                await store.get("a")
            with pytest.raises(StoreUnavailable):
                await anext(messages)

        server.start()
        assert await store.get("a") is None  # this one keeps nothing
        await store.put("a", b"2", 60)
        assert await store.get_many("") == {"a": b"2"}
        async with store.subscribe("catalog") as messages:
            await store.publish("catalog", b"3")
            assert await anext(messages) == b"3"
        await store.close()

    with valkey.running() as server:
        asyncio.run(test())


def test_the_password_is_sent_and_a_wrong_one_is_named_as_the_reason() -> None:
    async def test() -> None:
        allowed, refused = ValkeyStore(server.url, "a password"), ValkeyStore(server.url, "another")
        await allowed.put("a", b"1")
        assert await allowed.get("a") == b"1"
        with pytest.raises(StoreUnavailable, match="invalid username-password pair"):
            await refused.get("a")
        await allowed.close()
        await refused.close()

    with valkey.running("--requirepass", "a password") as server:
        asyncio.run(test())


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://cache", "Valkey at cache, database 0"),
        ("valkey://user@cache:6380/3", "Valkey at cache:6380, database 3"),
        ("valkeys://cache/1", "Valkey at cache, database 1"),
        ("unix:///run/valkey.sock?db=2", "Valkey at /run/valkey.sock, database 2"),
    ],
)
def test_messages_name_the_server(url: str, name: str) -> None:
    assert ValkeyStore(url).name == name


@pytest.mark.parametrize("stops", [True, False])
def test_a_task_that_is_cancelled_as_the_answer_comes_ends(stops: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica that stops waits for its tasks: one that went on would keep it until it is ended by force."""

    async def test() -> None:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def get(_client: Redis, _key: str) -> bytes:
            return await asyncio.wait_for(answer, 10)  # as the client waits

        monkeypatch.setattr(Redis, "get", get)
        store = ValkeyStore("redis://127.0.0.1:1")
        task = asyncio.create_task(store.get("x"))
        await asyncio.sleep(0)

        answer.set_result(b"value")
        if stops:
            task.cancel()
        await asyncio.wait([task])

        assert task.cancelled() == stops
        assert stops or task.result() == b"value"

    asyncio.run(test())
