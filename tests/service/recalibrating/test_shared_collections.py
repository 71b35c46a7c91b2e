"""Rows that replicas collect together. `test_shared_jobs.py` has whole jobs."""

import asyncio
from datetime import UTC, datetime

import numpy as np
import pytest

from models.errors import NotFound
from service.catalog.catalog import Catalog
from service.recalibrating.collector import RowCollector
from service.recalibrating.job import Job
from service.recalibrating.shared_collections import SharedCollections
from service.replicas.member import Member
from service.replicas.membership import Membership
from service.replicas.memory import MemoryStore
from service.wire.recalibration import RecalibrationParameters, RecalibrationRequest

COLLECT = RecalibrationRequest(None, None, 64, RecalibrationParameters())


class Alone:
    """No other replica answers."""

    async def get(self, member: Member, path: str) -> bytes:
        raise AssertionError(f"{member.id} was asked for {path}")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def collector() -> RowCollector:
    return RowCollector()


@pytest.fixture
def collections(store: MemoryStore, collector: RowCollector) -> SharedCollections:
    member = Member(id="a", address="http://127.0.0.1", version="1", started=datetime.now(UTC))
    return SharedCollections(Membership(store, member), Alone(), collector, 1 << 20)


def opened(collections: SharedCollections, model: str) -> Job:
    job = Job.new(model, 1, COLLECT)
    collections.open(job, COLLECT)
    return job


def test_a_job_may_begin_while_the_collections_are_reported(
    collections: SharedCollections, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, begun = store.put, []

    async def begin_another(key: str, value: bytes, seconds: float) -> None:
        if not begun:
            begun.append(opened(collections, "other"))
        await put(key, value, seconds)

    monkeypatch.setattr(store, "put", begin_another)
    job = opened(collections, "tiny")

    asyncio.run(collections.follow({job.id: job}, own=()))

    assert collections.count(begun[0]) == (0, 0)


def test_rows_are_collected_only_while_a_job_is_in_that_state(
    collections: SharedCollections, collector: RowCollector, catalog: Catalog
) -> None:
    job = opened(collections, "tiny")

    asyncio.run(collections.follow({job.id: job}, own=()))
    assert collector.targets == {("tiny", 1)}
    collector.offer(catalog.get("tiny"), {"input": np.zeros((3, 2), np.float32)}, "client")
    asyncio.run(collections.follow({job.id: job}, own=()))
    assert collections.count(job) == (3, 3)

    waiting = job.model_copy(update={"state": "waiting"})
    asyncio.run(collections.follow({job.id: waiting}, own=()))
    assert collector.targets == frozenset()
    assert collections.count(waiting) is None
    assert collections.sample(job.id)


def test_nothing_is_kept_of_a_finished_job(collections: SharedCollections) -> None:
    job = opened(collections, "tiny")

    asyncio.run(collections.follow({job.id: job.model_copy(update={"state": "published"})}, own=()))

    assert collections.plans == {}
    with pytest.raises(NotFound, match=f"no rows are collected here for job '{job.id}'"):
        collections.sample(job.id)
