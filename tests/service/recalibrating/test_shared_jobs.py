"""Jobs of replicas that share a store: rows of all of them, whichever dies."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pytest

from models.errors import NotFound, NotReady
from models.repository.repository import Repository
from service.catalog.catalog import Catalog
from service.recalibrating import job_leases
from service.recalibrating.collector import RowCollector
from service.recalibrating.job import Job
from service.recalibrating.job_leases import LEASE_SECONDS
from service.recalibrating.shared_collections import ROWS_PATH, SharedCollections
from service.recalibrating.shared_jobs import SharedRecalibrations
from service.replicas.member import Member
from service.replicas.membership import MISSED_SECONDS, Membership
from service.replicas.memory import MemoryStore
from service.wire.recalibration import RecalibrationParameters, RecalibrationRequest
from tests.awaiting import within_time
from tests.recalibrating import ROWS
from tests.service.catalogs import loaded
from tests.service.recalibrating.test_jobs import STANDING_STILL

AT_ONCE = (sys.executable, "-c", """print('{"state": "published", "published": 1}', flush=True)""")
"""A process that makes nothing, and says that it has published version 1. `test_process.py` has real ones."""

SENT = RecalibrationRequest({"input": ROWS}, None, 0, RecalibrationParameters())
COLLECT = RecalibrationRequest(None, None, 64, RecalibrationParameters())


class Fleet:
    """Replicas over one store. One that was killed answers nobody and renews nothing."""

    def __init__(self, repository: Repository) -> None:
        self.now = 1e6
        self.store = MemoryStore(lambda: self.now)
        self.repository = repository
        self.replicas: dict[str, Replica] = {}

    @asynccontextmanager
    async def add(self, name: str, *command: str) -> AsyncIterator["Replica"]:
        replica = self.replicas[name] = Replica(name, self, command)
        await replica.membership.update(state="ready")
        await replica.jobs.open()
        yield replica
        await within_time(replica.jobs.close(), "the jobs do not end")

    async def get(self, member: Member, path: str) -> bytes:
        if member.id not in self.replicas:
            raise NotReady(f"replica {member.id} does not answer")
        return self.replicas[member.id].jobs.sample(path.removeprefix(ROWS_PATH))

    async def exchange(self) -> None:
        for replica in list(self.replicas.values()):
            await replica.membership.update()
            await replica.jobs.exchange()

    async def finish(self, asked: "Replica", job: Job) -> Job:
        """Exchange until a replica shows that a job is finished."""

        async def wait() -> Job:
            while not (found := asked.jobs.get("tiny", job.id)).is_finished:
                await self.exchange()
                await asked.membership.wait_for_change(0.02)
            return found

        return await within_time(wait(), "the job is not finished")


class Replica:
    def __init__(self, name: str, fleet: Fleet, command: tuple[str, ...]) -> None:
        self.name = name
        self.catalog: Catalog = loaded(fleet.repository)
        member = Member(id=name, address="http://127.0.0.1", version="1", started=datetime.now(UTC))
        self.membership = Membership(fleet.store, member)
        self.collector = RowCollector()
        options: dict[str, Any] = {"command": command or AT_ONCE}
        collections = SharedCollections(self.membership, fleet, self.collector, 1 << 20)
        state = fleet.repository.root / ".state"
        self.jobs = SharedRecalibrations(self.membership, self.catalog, state, collections, **options)

    def offer(self, rows: np.ndarray, client: str = "a") -> None:
        self.collector.offer(self.catalog.get("tiny"), {"input": rows}, client)


@pytest.fixture
def fleet(repository: Repository) -> Fleet:
    return Fleet(repository)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(within_time(test, "the replicas did not finish"))


def test_rows_come_from_all_replicas_and_the_job_is_shown_by_all(fleet: Fleet) -> None:
    async def test() -> None:
        async with AsyncExitStack() as stack:
            a, b, c = [await stack.enter_async_context(fleet.add(name)) for name in "abc"]
            job = await a.jobs.start(a.catalog.get("tiny"), COLLECT)
            await fleet.exchange()
            for number, replica in enumerate((a, b, c, c)):
                replica.offer(np.tile(ROWS, (3, 1))[96 * number : 96 * number + 96])
            await fleet.exchange()
            await fleet.exchange()
            shown = b.jobs.get("tiny", job.id)
            assert (shown.state, shown.seen) in {
                ("collecting", 384),
                ("waiting", 384),
                ("collecting", 256),
            } or shown.seen
            done = await fleet.finish(c, job)

            assert (done.state, done.published) == ("published", 1), done.reason
            assert done.rows == 64
            await fleet.exchange()
            for replica in (a, b, c):
                assert replica.jobs.jobs_of("tiny")[0].state == "published"
                with pytest.raises(NotFound):
                    replica.jobs.sample(job.id)
                assert not replica.collector.targets
            assert not [
                key for key in await fleet.store.get_many("") if b"input" in (await fleet.store.get(key) or b"")
            ]

    run(test())


def test_a_replica_that_dies_costs_its_rows_and_not_the_job(fleet: Fleet) -> None:
    async def test() -> None:
        async with AsyncExitStack() as stack:
            a, b = [await stack.enter_async_context(fleet.add(name)) for name in "ab"]
            job = await a.jobs.start(a.catalog.get("tiny"), COLLECT)
            await fleet.exchange()
            a.offer(ROWS)
            b.offer(ROWS)
            await fleet.exchange()
            assert not b.jobs.get("tiny", job.id).is_finished

            # The replica that carries it out is killed.
            del fleet.replicas["a"]
            (task,) = [each for each in asyncio.all_tasks() if each.get_name() == f"job {job.id}"]
            task.cancel("another replica has the job's lease")
            fleet.now += max(LEASE_SECONDS, MISSED_SECONDS)
            await fleet.exchange()
            await fleet.exchange()
            assert b.jobs.get("tiny", job.id).seen == 128
            b.offer(ROWS)
            done = await fleet.finish(b, job)
            assert (done.state, done.rows, done.seen) == ("published", 64, 256), done.reason

    run(test())


def test_a_replica_that_is_cut_off_from_the_store_leaves_its_job_before_another_takes_it(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert job_leases.HELD_SECONDS < LEASE_SECONDS
    monkeypatch.setattr(job_leases, "HELD_SECONDS", 0.0)

    async def test() -> None:
        async with AsyncExitStack() as stack:
            a = await stack.enter_async_context(fleet.add("a", *STANDING_STILL))
            b = await stack.enter_async_context(fleet.add("b"))
            job = await a.jobs.start(a.catalog.get("tiny"), COLLECT)
            sent = await a.jobs.start(a.catalog.get("tiny"), SENT)
            # It hears nothing any more, and its lease in the store has not ended.
            del fleet.replicas["a"]
            tasks = {each.get_name(): each for each in asyncio.all_tasks()}
            await asyncio.wait([tasks[f"job {job.id}"]])
            assert a.jobs.get("tiny", job.id).state == "collecting"
            assert not tasks[f"job {sent.id}"].done()  # its rows are nowhere else

            monkeypatch.setattr(job_leases, "HELD_SECONDS", 15.0)
            fleet.now += LEASE_SECONDS
            await fleet.exchange()
            b.offer(np.tile(ROWS, (2, 1)))
            done = await fleet.finish(b, job)
            assert (done.state, done.rows, done.published) == ("published", 64, 1), done.reason

    run(test())


def test_rows_that_were_sent_are_lost_with_their_replica(fleet: Fleet) -> None:
    async def test() -> None:
        async with AsyncExitStack() as stack:
            a = await stack.enter_async_context(fleet.add("a", *STANDING_STILL))
            b = await stack.enter_async_context(fleet.add("b"))
            job = await a.jobs.start(a.catalog.get("tiny"), SENT)
            await fleet.exchange()
            assert not b.jobs.get("tiny", job.id).is_finished
            del fleet.replicas["a"]
            fleet.now += LEASE_SECONDS
            await fleet.exchange()
            lost = b.jobs.get("tiny", job.id)
            assert lost.state == "lost"
            assert "rows were in memory only" in (lost.reason or "")

    run(test())


def test_any_replica_cancels_a_job(fleet: Fleet) -> None:
    async def test() -> None:
        async with AsyncExitStack() as stack:
            a, b = [await stack.enter_async_context(fleet.add(name)) for name in "ab"]
            job = await a.jobs.start(a.catalog.get("tiny"), COLLECT)
            await fleet.exchange()
            cancelling = asyncio.create_task(b.jobs.cancel("tiny", job.id))
            done = await fleet.finish(b, job)
            assert done.state == "cancelled"
            assert (await cancelling).state == "cancelled"
            assert a.jobs.get("tiny", job.id).state == "cancelled"

    run(test())


class Interrupted(MemoryStore):
    """A store in which something happens while it answers the next question for a lease, which it refuses."""

    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def lease(self, name: str, holder: str, seconds: float) -> bool:
        if (meanwhile := self.meanwhile) is None:
            return await super().lease(name, holder, seconds)
        self.meanwhile = None
        await meanwhile()
        return False


def test_a_job_that_is_cancelled_before_it_begins_may_end_while_its_lease_is_renewed(fleet: Fleet) -> None:
    async def test() -> None:
        store = fleet.store = Interrupted(lambda: fleet.now)
        async with fleet.add("a", *STANDING_STILL) as a:
            job = await a.jobs.start(a.catalog.get("tiny"), SENT)
            store.meanwhile = partial(a.jobs.cancel, "tiny", job.id)
            assert not a.jobs.get("tiny", job.id).is_finished
            await fleet.exchange()
            assert store.meanwhile is None, "no lease was renewed"
            assert a.jobs.get("tiny", job.id).state == "cancelled"

    run(test())
