"""All replicas serve the same: changes, concurrent changes, starts, and a store that fails."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from models.errors import ModelNotFound, NotReady
from models.repository.repository import Repository
from models.repository.rollout import Canary
from service.errors import NotAgreed
from service.replicas.memory import MemoryStore
from service.replicas.store import StoreUnavailable
from tests.awaiting import until, within_time
from tests.bundles import tiny_bundle
from tests.service.replicas.replica import Replica


class BreakableStore(MemoryStore):
    """A store that can be cut off."""

    is_broken = False

    def __getattribute__(self, name: str) -> Any:
        if name in {"put", "get", "get_many", "compare_and_set", "publish"} and self.is_broken:
            raise StoreUnavailable("the store (a test) does not answer")
        return super().__getattribute__(name)


@pytest.fixture
def versions(tmp_path: Path) -> Repository:
    """Versions 1 to 3 of `tiny`, and one of `other`."""
    repository = Repository(tmp_path / "repository")
    for seed in range(3):
        repository.publish(tiny_bundle(seed=seed))
    repository.publish(tiny_bundle("other"))
    return repository


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(within_time(test, "the replicas have not agreed"))


async def serving(stack: AsyncExitStack, repository: Repository, store: MemoryStore, *names: str) -> list[Replica]:
    return [await stack.enter_async_context(Replica(name, repository, store).serving()) for name in names]


def test_a_change_is_served_by_all_replicas_when_it_returns(versions: Repository) -> None:
    async def test() -> None:
        async with AsyncExitStack() as stack:
            a, b, c = replicas = await serving(stack, versions, MemoryStore(), "a", "b", "c")
            assert [replica.default() for replica in replicas] == [3, 3, 3]

            await a.agreement.run("promote", a.rollouts.promote, "tiny", 2)
            assert [replica.default() for replica in replicas] == [2, 2, 2]
            await b.agreement.run("canary", b.rollouts.set_canary, "tiny", Canary(version=3, share=1))
            assert [replica.catalog.choose("tiny").version for replica in replicas] == [3, 3, 3]
            await c.agreement.run("unload", c.catalog.unload, "other")
            assert [replica.catalog.names() for replica in replicas] == [["tiny"]] * 3
            versions.publish(tiny_bundle(seed=9))
            await b.agreement.run("roll back", b.rollouts.roll_back, "tiny")
            assert [replica.default() for replica in replicas] == [3, 3, 3]
            assert len({replica.agreement.revision for replica in replicas}) == 1

            before = a.agreement.revision
            with pytest.raises(ModelNotFound):
                await a.agreement.run("load", a.catalog.load, "none")
            assert a.agreement.revision == before

    run(test())


def test_changes_at_the_same_time_are_all_kept(versions: Repository) -> None:
    async def test() -> None:
        async with AsyncExitStack() as stack:
            a, b, c = replicas = await serving(stack, versions, MemoryStore(), "a", "b", "c")
            await asyncio.gather(
                a.agreement.run("label", a.rollouts.set_label, "tiny", "tested", 1),
                b.agreement.run("promote", b.rollouts.promote, "tiny", 2),
                c.agreement.run("unload", c.catalog.unload, "other"),
                b.agreement.run("shadow", b.rollouts.set_shadow, "tiny", 3),
                c.agreement.run("label", c.rollouts.set_label, "tiny", "approved", 3),
            )
            for replica in replicas:
                assert replica.default() == 2
                assert replica.catalog.labelled("tiny", "tested") == 1
                assert replica.catalog.labelled("tiny", "approved") == 3
                assert replica.catalog.names() == ["tiny"]
                shadow = replica.catalog.shadow_of(replica.catalog.get("tiny"))
                assert shadow is not None
                assert shadow.version == 3

    run(test())


def test_a_replica_that_starts_serves_what_the_others_do_and_not_what_is_newer(versions: Repository) -> None:
    async def test() -> None:
        async with AsyncExitStack() as stack:
            store = MemoryStore()
            (a,) = await serving(stack, versions, store, "a")
            await a.agreement.run("unload", a.catalog.unload, "other")
            versions.publish(tiny_bundle(seed=9))

            (b,) = await serving(stack, versions, store, "b")
            assert b.default() == a.default() == 3
            assert b.catalog.names() == ["tiny"]
            assert await states(a) == {"a": "ready", "b": "ready"}

    run(test())


def test_the_first_replica_serves_what_the_repository_has(versions: Repository) -> None:
    async def test() -> None:
        store = MemoryStore()
        async with Replica("a", versions, store).serving() as a:
            await a.agreement.run("unload", a.catalog.unload, "other")
        versions.publish(tiny_bundle(seed=9))

        async with Replica("b", versions, store).serving() as b:
            assert b.catalog.names() == ["other", "tiny"]
            assert b.default() == 4
            assert b.agreement.revision == 3

    run(test())


def test_a_replica_that_cannot_load_a_version_is_named_and_serves_it_later(versions: Repository) -> None:
    async def test() -> None:
        async with AsyncExitStack() as stack:
            store = MemoryStore()
            a = await stack.enter_async_context(Replica("a", versions, store, seconds=0.1).serving())
            (b,) = await serving(stack, versions, store, "b")
            good = b.catalog.apply_snapshots

            def fail(_models: object) -> None:
                raise NotReady("no memory")

            b.catalog.apply_snapshots = fail  # type: ignore[method-assign]
            with pytest.raises(NotAgreed, match="not applied yet by b") as found:
                await a.agreement.run("promote", a.rollouts.promote, "tiny", 2)
            assert found.value.pending == ["b"]
            assert (a.default(), b.default()) == (2, 3)

            b.catalog.apply_snapshots = good  # type: ignore[method-assign]
            await a.agreement.run("promote", a.rollouts.promote, "tiny", 1)
            assert (a.default(), b.default()) == (1, 1)

    run(test())


def test_without_the_store_models_are_served_and_changes_are_refused(versions: Repository) -> None:
    async def test() -> None:
        async with AsyncExitStack() as stack:
            store = BreakableStore()
            a, b = await serving(stack, versions, store, "a", "b")
            store.is_broken = True
            with pytest.raises(StoreUnavailable, match="a test"):
                await a.agreement.run("promote", a.rollouts.promote, "tiny", 2)
            assert (a.default(), b.default()) == (3, 3)
            assert versions.rollout("tiny").default is None
            await until(lambda: not b.membership.is_available, "the loss is not noticed")
            (late,) = await serving(stack, versions, store, "late")
            assert late.default() == 3

            store.is_broken = False
            await until(
                lambda: all(each.membership.is_available for each in (a, b, late)), "the store is not used again"
            )
            while len(members := await a.membership.members()) < 3:
                await a.membership.wait_for_change(1)
            assert {member.state for member in members} == {"ready"}
            await a.agreement.run("promote", a.rollouts.promote, "tiny", 2)
            assert (a.default(), b.default(), late.default()) == (2, 2, 2)

    run(test())


def test_a_store_that_has_lost_everything_gets_the_latest_catalog_again(versions: Repository) -> None:
    async def test() -> None:
        async with AsyncExitStack() as stack:
            store = MemoryStore()
            a, b = await serving(stack, versions, store, "a", "b")
            await a.agreement.run("promote", a.rollouts.promote, "tiny", 2)
            await store.delete("catalog")
            await b.agreement.apply()
            assert await store.get("catalog") is not None
            await b.agreement.run("promote", b.rollouts.promote, "tiny", 1)
            assert (a.default(), b.default()) == (1, 1)
            assert a.agreement.revision == b.agreement.revision == 3

    run(test())


def test_a_catalog_of_another_release_is_left_alone(versions: Repository) -> None:
    async def test() -> None:
        async with AsyncExitStack() as stack:
            store = MemoryStore()
            (a,) = await serving(stack, versions, store, "a")
            await store.put("catalog", b"99:{}")
            await store.put("member/newer", b"99:{}")
            await a.agreement.apply()
            assert a.default() == 3
            with pytest.raises(NotReady, match="another release"):
                await a.agreement.run("promote", a.rollouts.promote, "tiny", 2)
            assert await store.get("catalog") == b"99:{}"
            assert await states(a) == {"a": "ready"}

    run(test())


async def states(replica: Replica) -> dict[str, str]:
    return {member.id: member.state for member in await replica.membership.members()}
