"""Health checks without the framework say what it says."""

import asyncio

import pytest
from starlette.testclient import TestClient
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.app import create_app
from service.host.lifecycle import Lifecycle
from service.http.predictions import Application
from service.http.protocol import Protocol
from service.replicas.membership import Membership
from service.settings import Settings
from tests.service.conftest import fill
from tests.service.http.connections import Connection, http

READY = http(method="GET", path="/v2/health/ready")


def answer(app: Application, kind: type[HttpToolsProtocol]) -> bytes:
    async def ask() -> bytes:
        connection = Connection(app, kind)
        await connection.send(READY)
        assert (connection.protocol.cycle is None) is (kind is Protocol)
        written = connection.transport.written
        await connection.lose()
        return written

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("is_stopping", "is_available", "status", "words"),
    [
        (False, True, b"200", b'{"live":true,"ready":true}'),
        (False, False, b"200", b"does not answer"),
        (True, True, b"503", b"shutting down"),
    ],
    ids=["ready", "without the store", "stopping"],
)
def test_readiness_is_that_of_the_framework(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    is_stopping: bool,
    is_available: bool,
    status: bytes,
    words: bytes,
) -> None:
    lifecycle = Lifecycle()
    app = create_app(Settings(repository=fill(tmp_path_factory.mktemp("repository")).root), lifecycle)
    with TestClient(app):
        lifecycle.stopping = is_stopping
        monkeypatch.setattr(Membership, "is_available", property(lambda _: is_available))
        ours, theirs = answer(app, Protocol), answer(app, HttpToolsProtocol)

    assert ours == theirs
    assert ours.startswith(b"HTTP/1.1 " + status)
    assert words in ours
