"""Connections on one socket. All clients connect before the event loop looks at the socket for the first time."""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import uvloop

from service.http.acceptor import Acceptor
from tests.awaiting import within_time
from tests.service.certificates import make_certificate

CLIENTS = 40
ITERATIONS = 6
"""Of the event loop: one accepts, and the others make the protocols."""

Listen = Callable[[socket.socket, Callable[[], asyncio.Protocol]], Awaitable[object]]


class Connected(asyncio.Protocol):
    """Counts itself."""

    def __init__(self, connected: list[object]) -> None:
        self._connected = connected

    def connection_made(self, _transport: asyncio.BaseTransport) -> None:
        self._connected.append(self)


async def ours(listening: socket.socket, make_protocol: Callable[[], asyncio.Protocol]) -> object:
    return Acceptor(listening, make_protocol)


async def of_the_event_loop(listening: socket.socket, make_protocol: Callable[[], asyncio.Protocol]) -> object:
    return await asyncio.get_running_loop().create_server(make_protocol, sock=listening)


def accepted(listen: Listen, clients: int, iterations: int) -> int:
    """How many connections have their protocol after some iterations of the event loop."""

    async def scenario() -> int:
        connected: list[object] = []
        with socket.create_server(("127.0.0.1", 0), backlog=clients) as listening, ExitStack() as stack:
            for _ in range(clients):
                stack.enter_context(socket.create_connection(listening.getsockname()))
            server = await listen(listening, lambda: Connected(connected))
            stack.enter_context(closing(server))  # type: ignore[type-var]
            for _ in range(iterations):
                await asyncio.sleep(0)
            return len(connected)

    return uvloop.run(scenario())


def test_all_clients_that_wait_are_accepted_at_once() -> None:
    assert accepted(ours, CLIENTS, ITERATIONS) == CLIENTS


def test_the_server_of_the_event_loop_accepts_one_at_a_time() -> None:
    assert accepted(of_the_event_loop, CLIENTS, ITERATIONS) <= ITERATIONS


def test_a_flood_of_connections_is_accepted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.http.acceptor.MAX_AT_ONCE", 2)
    assert 2 <= accepted(ours, CLIENTS, ITERATIONS) <= 2 * ITERATIONS


def test_accepting_goes_on_after_the_system_had_no_descriptor_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """It pauses meanwhile: otherwise the event loop would be told of the same connection for ever."""
    attempts = 0

    class Exhausted(socket.socket):
        def accept(self) -> tuple[socket.socket, object]:
            nonlocal attempts
            attempts += 1
            if attempts == 1:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return super().accept()

    monkeypatch.setattr("service.http.acceptor.PAUSE_SECONDS", 0.0)

    async def scenario() -> None:
        connected = asyncio.Event()

        class Connects(asyncio.Protocol):
            def connection_made(self, _transport: asyncio.BaseTransport) -> None:
                connected.set()

        with Exhausted() as listening:
            listening.bind(("127.0.0.1", 0))
            with closing(Acceptor(listening, Connects)), socket.create_connection(listening.getsockname()):
                async with asyncio.timeout(60):
                    await connected.wait()

    uvloop.run(scenario())
    assert attempts == 3  # the last one found no other client


def test_who_does_not_shake_hands_is_disconnected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("service.http.acceptor.HANDSHAKE_SECONDS", 0.1)
    made = make_certificate(tmp_path, "service")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made.certificate, made.key)

    async def scenario() -> bytes:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            acceptor = Acceptor(listening, asyncio.Protocol, context)
            reader, writer = await asyncio.open_connection(*listening.getsockname())
            with closing(acceptor), closing(writer):
                return await within_time(reader.read(), "the connection is not closed")

    assert uvloop.run(scenario()) == b""
