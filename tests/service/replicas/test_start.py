"""What a replica loads at its start."""

import asyncio
from pathlib import Path

import pytest

from models.errors import StorageError
from models.repository.repository import Repository
from models.repository.rollout import Rollout
from models.repository.storage import StoredModel
from service.replicas.memory import MemoryStore
from service.replicas.start import Start
from service.settings import Settings
from tests.awaiting import until, within_time
from tests.bundles import tiny_bundle
from tests.service.replicas.replica import Replica


def away(*_: object) -> None:
    raise StorageError("the repository does not answer")


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository of two versions, of which the first was seen last."""
    repository = Repository(tmp_path / "repository")
    for seed in range(2):
        repository.publish(tiny_bundle(seed=seed))
    monkeypatch.setattr(repository, "last_seen", lambda: {"tiny": StoredModel((1,), Rollout(default=1))})
    return repository


def starting(repository: Repository) -> tuple[Replica, Start]:
    replica = Replica("a", repository, MemoryStore())
    settings = Settings(repository=repository.root, starters=False)
    return replica, Start(repository, replica.catalog, replica.agreement, settings, retry_seconds=0.0)


def test_a_replica_serves_what_was_seen_last_until_the_repository_answers(
    seen: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        replica, start = starting(seen)
        with monkeypatch.context() as patch:
            patch.setattr(seen, "listing", away)
            async with replica.membership.running(), start.loading():
                assert replica.default() == 1
                patch.undo()
                await until(lambda: replica.default() == 2, "version 2 is not served")

    asyncio.run(within_time(test(), "the replica has not read the repository again"))


def test_a_repository_that_fails_after_the_port_has_opened_is_read_again(
    seen: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.replicas.start.START_SECONDS", 0.0)

    async def test() -> None:
        replica, start = starting(seen)
        with monkeypatch.context() as patch:
            patch.setattr(seen, "listing", away)
            async with replica.membership.running(), start.loading():
                await until(lambda: replica.catalog.names() == ["tiny"], "what was seen last is not served")
                patch.undo()
                await until(lambda: replica.default() == 2, "version 2 is not served")

    asyncio.run(within_time(test(), "the replica has not read the repository again"))


def test_a_repository_that_was_never_seen_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = Repository(tmp_path / "repository")
    monkeypatch.setattr(repository, "listing", away)

    async def test() -> None:
        replica = Replica("a", repository, MemoryStore())
        start = Start(repository, replica.catalog, replica.agreement, Settings(repository=repository.root))
        async with replica.membership.running():
            with pytest.raises(StorageError, match="the repository does not answer"):
                async with start.loading():
                    pytest.fail("it serves nothing")

    asyncio.run(within_time(test(), "the start has not ended"))


def test_one_that_was_never_seen_and_hangs_is_read_again_while_the_service_serves(
    seen: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.replicas.start.START_SECONDS", 0.0)
    monkeypatch.setattr(seen, "last_seen", dict)

    async def test() -> None:
        replica, start = starting(seen)
        failed = asyncio.Event()
        loop = asyncio.get_running_loop()

        def fail(*_: object) -> None:
            loop.call_soon_threadsafe(failed.set)
            away()

        with monkeypatch.context() as patch:
            patch.setattr(seen, "listing", fail)
            async with replica.membership.running(), start.loading():
                await failed.wait()
                assert not replica.catalog.is_ready
                patch.undo()
                await until(lambda: replica.catalog.is_ready and replica.default() == 2, "version 2 is not served")

    asyncio.run(within_time(test(), "the replica has not read the repository again"))
