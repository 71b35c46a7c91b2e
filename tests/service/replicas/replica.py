"""A replica without HTTP: its catalog, its membership, and what it has agreed on with the others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from models.repository.repository import Repository
from service.catalog.catalog import Catalog
from service.catalog.rollouts import Rollouts
from service.host.blocking_pool import BlockingPool
from service.replicas.agreement import Agreement
from service.replicas.member import Member
from service.replicas.membership import Membership
from service.replicas.store import Store
from tests.service.catalogs import start


class Replica:
    """One of several in a process, which share a repository and a store."""

    def __init__(self, name: str, repository: Repository, store: Store, seconds: float = 30.0) -> None:
        member = Member(id=name, address="http://127.0.0.1", version="1", started=datetime.now(UTC))
        self.catalog = Catalog(repository, start)
        self.rollouts = Rollouts(self.catalog)
        self.membership = Membership(store, member, heartbeat=0.02)
        self.pool = BlockingPool(name, 2, None)
        self.agreement = Agreement(self.catalog, self.membership, self.pool, seconds)

    async def start(self) -> None:
        await self.agreement.start(lambda: self.pool.run("load all models", self.catalog.load_all))

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Replica"]:
        async with self.membership.running():
            await self.start()
            yield self

    def default(self, model: str = "tiny") -> int:
        return self.catalog.get(model).version
