"""Connections on a shared socket, here by several acceptors of one event loop."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial

import pytest

from service.replicas.worker_group import WorkerTable
from service.workers.acceptor import Connections, SharingAcceptor


class Answer(asyncio.Protocol):
    """Counts itself, as uvicorn's protocols do."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def connection_made(self, _transport: asyncio.BaseTransport) -> None:
        self._connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._connections.discard(self)


@pytest.fixture
def memory() -> Iterator[int]:
    descriptor = os.memfd_create("test")
    os.ftruncate(descriptor, WorkerTable.size(2))
    for worker in range(2):
        WorkerTable(descriptor, 2).set_ended(worker, died=False)
    yield descriptor
    os.close(descriptor)


def start(listening: socket.socket, memory: int, worker: int, stack: ExitStack) -> Connections:
    connections = Connections(WorkerTable(memory, 2), worker)
    connections.serve()
    accepting = SharingAcceptor(stack.enter_context(listening.dup()), connections, partial(Answer, connections))
    stack.enter_context(closing(accepting))
    return connections


async def connect(listening: socket.socket, number: int, stack: ExitStack) -> list[socket.socket]:
    address = listening.getsockname()
    return [stack.enter_context(socket.create_connection(address)) for _ in range(number)]


async def until_there_are(number: int, *workers: Connections) -> None:
    try:
        async with asyncio.timeout(60):
            while sum(map(len, workers)) != number:  # noqa: ASYNC110 - nobody else could set an event
                await asyncio.sleep(0)
    except TimeoutError:
        pytest.fail(f"{[*map(len, workers)]} connections are open at the workers, not {number} together")


def test_each_worker_gets_about_as_many(memory: int) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening, ExitStack() as stack:
            workers = [start(listening, memory, worker, stack) for worker in range(2)]
            clients = await connect(listening, 40, stack)
            await until_there_are(40, *workers)
            assert abs(len(workers[0]) - len(workers[1])) <= 4

            for client in clients[:30]:
                client.close()
            await until_there_are(10, *workers)
            assert WorkerTable(memory, 2).fewest_connections == min(map(len, workers))

    asyncio.run(scenario())


def test_what_another_worker_does_not_take_is_taken_all_the_same(memory: int) -> None:
    async def scenario() -> None:
        WorkerTable(memory, 2).set_connections(1, 0)  # it serves, and stands still
        with socket.create_server(("127.0.0.1", 0)) as listening, ExitStack() as stack:
            only = start(listening, memory, 0, stack)
            await connect(listening, 10, stack)
            await until_there_are(10, only)
            assert len(only) == 10

    asyncio.run(scenario())
