"""Which rows are collected, in one process and in several."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from models.repository.repository import Repository
from service.catalog.served_version import ServedVersion
from service.recalibrating.collector import (
    ROWS_MESSAGE,
    TARGETS_MESSAGE,
    CollectedRows,
    RowCollector,
    RowCollectors,
)
from service.replicas.alone import Alone
from service.replicas.interface import Handler
from tests.bundles import tiny_bundle
from tests.service.catalogs import loaded

INPUTS = {"input": np.ones((2, 4), np.float32)}


@pytest.fixture
def served(tmp_path: Path) -> ServedVersion:
    repository = Repository(tmp_path)
    repository.publish(tiny_bundle())
    return loaded(repository).get("tiny")


class OneWorker(Alone):
    """One other process, which has a collector of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.worker = RowCollector(self.send)
        self.sent = b""
        self.handlers: dict[str, Handler] = {}

    def on(self, kind: str, handler: Handler) -> None:
        self.handlers[kind] = handler

    async def publish(self, kind: str, payload: bytes) -> None:
        assert kind == TARGETS_MESSAGE
        await self.worker.apply_targets(payload)

    def send(self, rows: CollectedRows) -> None:
        self.sent = rows.to_bytes()

    async def deliver(self) -> None:
        await self.handlers[ROWS_MESSAGE](self.sent)


def test_rows_of_a_target_are_collected_with_their_client_and_no_others(served: ServedVersion) -> None:
    found: list[CollectedRows] = []
    collector = RowCollector(found.append)
    collector.offer(served, INPUTS, "before")
    collector.targets = frozenset({("tiny", 1)})
    collector.offer(served, INPUTS, "client")
    collector.targets = frozenset({("tiny", 2), ("other", 1)})
    collector.offer(served, INPUTS, "after")

    assert found == [CollectedRows("tiny", 1, "client", INPUTS)]


def test_targets_reach_every_process_and_rows_come_from_every_process(served: ServedVersion) -> None:
    found: list[CollectedRows] = []
    replicas = OneWorker()
    collectors = RowCollectors(replicas)
    collectors.on_rows(found.append)

    async def collect() -> None:
        await collectors.set_targets(frozenset({("tiny", 1), ("other", 7)}))
        assert collectors.local.targets == replicas.worker.targets == {("tiny", 1), ("other", 7)}
        collectors.local.offer(served, INPUTS, "here")
        replicas.worker.offer(served, INPUTS, "there")
        await replicas.deliver()
        await collectors.set_targets(frozenset())
        assert collectors.local.targets == replicas.worker.targets == frozenset()

    asyncio.run(collect())

    assert [(rows.model, rows.version, rows.client) for rows in found] == [("tiny", 1, "here"), ("tiny", 1, "there")]
    for rows in found:
        np.testing.assert_array_equal(rows.inputs["input"], INPUTS["input"])


def test_rows_that_come_before_anyone_receives_them_are_dropped(served: ServedVersion) -> None:
    found: list[CollectedRows] = []
    collectors = RowCollectors(Alone())
    collectors.local.targets = frozenset({("tiny", 1)})
    collectors.local.offer(served, INPUTS, "too early")
    collectors.on_rows(found.append)
    collectors.local.offer(served, INPUTS, "in time")

    assert [rows.client for rows in found] == ["in time"]
