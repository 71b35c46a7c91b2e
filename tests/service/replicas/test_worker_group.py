"""What workers know of each other, in memory that they share."""

import os
from collections.abc import Iterator

import pytest

from service.replicas.worker_group import WorkerTable


@pytest.fixture
def table() -> Iterator[WorkerTable]:
    descriptor = os.memfd_create("test")
    os.ftruncate(descriptor, WorkerTable.size(3))
    WorkerTable(descriptor, 3).set_ended(2, died=False)
    yield WorkerTable(descriptor, 3)  # as another process opens it
    os.close(descriptor)


def test_only_workers_that_serve_count(table: WorkerTable) -> None:
    table.set_started(0, 101)
    table.set_connections(0, 7)
    table.set_started(1, 102)

    assert (table.fewest_connections, table.serving, table.pids, table.died) == (7, 1, [101, 102], 0)
    table.set_connections(1, 3)
    assert (table.fewest_connections, table.serving) == (3, 2)
    table.set_ended(1, died=True)
    assert (table.fewest_connections, table.serving, table.pids, table.died) == (7, 1, [101], 1)
