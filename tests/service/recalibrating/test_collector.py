"""Which rows are collected."""

from pathlib import Path

import numpy as np
import pytest

from models.repository.repository import Repository
from service.catalog.served_version import ServedVersion
from service.recalibrating.collector import CollectedRows, RowCollector
from tests.bundles import tiny_bundle
from tests.service.catalogs import loaded

INPUTS = {"input": np.ones((2, 4), np.float32)}


@pytest.fixture
def served(tmp_path: Path) -> ServedVersion:
    repository = Repository(tmp_path)
    repository.publish(tiny_bundle())
    return loaded(repository).get("tiny")


def test_rows_of_a_target_are_collected_with_their_client_and_no_others(served: ServedVersion) -> None:
    found: list[CollectedRows] = []
    collector = RowCollector()
    collector.on_rows = found.append
    collector.offer(served, INPUTS, "before")
    collector.targets = frozenset({("tiny", 1)})
    collector.offer(served, INPUTS, "client")
    collector.targets = frozenset({("tiny", 2), ("other", 1)})
    collector.offer(served, INPUTS, "after")

    assert found == [CollectedRows("tiny", 1, "client", INPUTS)]


def test_rows_that_come_before_anyone_receives_them_are_dropped(served: ServedVersion) -> None:
    found: list[CollectedRows] = []
    collector = RowCollector()
    collector.targets = frozenset({("tiny", 1)})
    collector.offer(served, INPUTS, "too early")
    collector.on_rows = found.append
    collector.offer(served, INPUTS, "in time")

    assert [rows.client for rows in found] == ["in time"]
