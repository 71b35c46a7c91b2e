"""What replicas cost their store: simulated in one process, over memory that counts operations and bytes.

    python -m benchmarks.replicas --replicas 1 3 10 30 100

Every replica serves one small model and observes 32 rows between two heartbeats. A row has what the store does in a
second, and how long one promotion takes until all replicas serve it (with the processor time of all of them in one
process, and without a network).
"""

import argparse
import asyncio
import tempfile
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

import numpy as np

from models.moments.window import WindowMoments
from models.observation import RowStatistics
from models.repository.repository import Repository
from models.runtime.engine import Engine
from models.starter import seed
from service.catalog.catalog import Catalog
from service.catalog.rollouts import Rollouts
from service.host.blocking_pool import BlockingPool
from service.host.clock import steady
from service.replicas.agreement import Agreement
from service.replicas.member import Member
from service.replicas.membership import HEARTBEAT_SECONDS, Membership
from service.replicas.memory import MemoryStore
from service.watching.judge import Judge
from service.watching.monitor import DriftMonitor
from service.watching.observation import Observation
from service.watching.shared_drift import SharedDrift

MODEL = "mlp"
OPERATIONS = ("put", "get", "get_many", "delete", "compare_and_set", "lease", "publish")


class CountingStore:
    """A store in memory that counts operations, and bytes that go to and from it."""

    def __init__(self) -> None:
        self._store = MemoryStore()
        self.operations = self.bytes = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in OPERATIONS:
            return found

        async def count(*args: Any) -> Any:
            answer = await found(*args)
            self.operations += 1
            values = [*args, *(answer.values() if isinstance(answer, dict) else (answer,))]
            self.bytes += sum(len(value) for value in values if isinstance(value, bytes))
            return answer

        return count


class Replica:
    def __init__(self, number: int, repository: Repository, store: CountingStore) -> None:
        member = Member(id=f"r{number}", address="http://r", version="1", started=datetime.now(UTC))
        self.membership = Membership(store, member)
        self.catalog = Catalog(repository, lambda bundle: Engine(bundle.folded, bundle.manifest.inputs))
        self.pool = BlockingPool(member.id, 1, None)
        self.agreement = Agreement(self.catalog, self.membership, self.pool)
        judge = Judge(self.membership, steady, lambda _: None, self._deliver)
        self.monitor = DriftMonitor(self.catalog, shared=SharedDrift(self.membership, judge, lambda _: None))

    async def start(self) -> None:
        await self.agreement.start(lambda: self.pool.run("load", self.catalog.load, MODEL))

    def observe(self, rows: int) -> None:
        served = self.catalog.get(MODEL)
        layers = {
            layer.name: WindowMoments.of(
                RowStatistics(*np.random.default_rng(0).normal(size=(2, rows, layer.num_features)))
            )
            for layer in served.manifest.layers
        }
        self.monitor.record(Observation(MODEL, served.version, layers, np.zeros(0, np.int64)))

    async def _deliver(self, *_: object) -> None:
        """Send nothing."""


async def measure(count: int, seconds: float) -> str:
    with tempfile.TemporaryDirectory() as folder:
        repository = Repository(Path(folder))
        seed(repository)
        repository.publish(repository.read(MODEL, 1))
        store = CountingStore()
        async with AsyncExitStack() as stack:
            replicas = [Replica(number, repository, store) for number in range(count)]
            for replica in replicas:
                await stack.enter_async_context(replica.membership.running())
                await replica.start()
            began, operations, sent = monotonic(), store.operations, store.bytes
            while monotonic() < began + seconds:
                for replica in replicas:
                    replica.observe(32)
                await asyncio.sleep(HEARTBEAT_SECONDS)
            took = monotonic() - began
            operations, sent = store.operations - operations, store.bytes - sent
            began = perf_counter()
            await replicas[0].agreement.run("promote", Rollouts(replicas[0].catalog).promote, MODEL, 1)
            agreed = perf_counter() - began
    return f"| {count} | {operations / took:,.0f} | {sent / took / 1e3:,.0f} | {agreed * 1e3:,.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replicas", description=__doc__)
    parser.add_argument("--replicas", nargs="+", type=int, default=[1, 3, 10, 30, 100])
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    print("| replicas | store operations/s | kB/s | promotion agreed, ms |\n|---:|---:|---:|---:|")
    for count in options.replicas:
        print(asyncio.run(measure(count, options.seconds)), flush=True)


if __name__ == "__main__":
    main()
