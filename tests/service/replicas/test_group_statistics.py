"""The sum of the statistics of replicas that share a port."""

import asyncio
from datetime import UTC, datetime

from models.errors import NotReady
from service.replicas.group_statistics import GroupStatistics
from service.replicas.member import Member
from service.replicas.membership import Membership
from service.replicas.memory import MemoryStore
from service.replicas.peers import Peers
from service.replicas.store import Store
from service.telemetry.statistics import ServiceStatistics
from tests.awaiting import within_time

REQUEST = "/v2/models/{model}/infer", "POST", 200


class Worker(Peers):
    """A replica that asks the others in its process; one without `is_alive` does not answer."""

    def __init__(self, name: str, store: Store, workers: "dict[str, Worker]") -> None:
        member = Member(
            id=name, address="unix:///", version="1", started=datetime(2026, 1, 1, tzinfo=UTC), group="group"
        )
        self.membership = Membership(store, member)
        super().__init__(self.membership)
        self.is_alive = True
        self.counted = ServiceStatistics()
        self.statistics = GroupStatistics(self.membership, self, "group", lambda: self.counted)
        self.workers = workers
        workers[name] = self

    async def get(self, member: Member, path: str) -> bytes:  # noqa: ARG002
        asked = self.workers[member.id]
        if not asked.is_alive:
            raise NotReady("it is dead")
        return asked.statistics.own()

    def answer(self, requests: int) -> None:
        for _ in range(requests):
            self.counted.requests[REQUEST].add(0.001)

    async def gather(self) -> int:
        return (await self.statistics.gather()).requests[REQUEST].count


def test_what_a_replica_wrote_after_its_last_answer_counts_when_it_has_died() -> None:
    async def test() -> None:
        store, workers = MemoryStore(), dict[str, Worker]()
        a, b, c = (Worker(name, store, workers) for name in "abc")
        for worker in (a, b, c):
            await worker.membership.update(state="ready")
        b.answer(1)
        assert await a.gather() == 1
        b.answer(4)
        await b.statistics.write()
        b.is_alive = False

        assert (await a.gather(), await c.gather()) == (5, 5)

    asyncio.run(within_time(test(), "no sum"))


def test_what_a_replica_answered_after_it_wrote_counts_when_it_has_died() -> None:
    async def test() -> None:
        store, workers = MemoryStore(), dict[str, Worker]()
        a, b = (Worker(name, store, workers) for name in "ab")
        for worker in (a, b):
            await worker.membership.update(state="ready")
        b.answer(1)
        await b.statistics.write()
        b.answer(4)
        assert await a.gather() == 5
        b.is_alive = False

        assert await a.gather() == 5

    asyncio.run(within_time(test(), "no sum"))
