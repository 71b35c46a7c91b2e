"""The framework's application, which is built when it is first needed."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.types import Message

from service.app import create_app
from service.http.framework import Framework
from service.http.protocol import Protocol
from service.settings import Settings
from tests.service.http.connections import Connection


def framework(*, on_build: Callable[[], object] = lambda: None) -> Framework:
    def build() -> FastAPI:
        on_build()
        app = FastAPI()
        app.add_api_route("/", lambda: "here")
        return app

    async def open_parts() -> None:
        pass

    return Framework(build, open_parts)


async def get(app: Framework) -> int:
    """The status of a response."""
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    status: int = sent[0]["status"]
    return status


def test_requests_that_come_before_it_is_built_wait_and_do_not_stop_the_event_loop() -> None:
    may_build = threading.Event()
    builds: list[int] = []

    def on_build() -> None:
        assert may_build.wait(60)
        builds.append(threading.get_ident())

    async def play() -> list[int]:
        app = framework(on_build=on_build)
        requests = [asyncio.create_task(get(app)) for _ in range(20)]
        await asyncio.sleep(0)
        assert not any(request.done() for request in requests)
        may_build.set()  # by the event loop, which would never do it if it waited for the application
        return [*await asyncio.gather(*requests), await get(app)]

    assert asyncio.run(play()) == [200] * 21
    assert len(builds) == 1
    assert builds != [threading.get_ident()]


def test_one_that_cannot_be_built_is_tried_again() -> None:
    failures = [RuntimeError("once")]

    def on_build() -> None:
        if failures:
            raise failures.pop()

    app = framework(on_build=on_build)

    with pytest.raises(RuntimeError, match="once"):
        asyncio.run(get(app))
    assert asyncio.run(get(app)) == 200


@pytest.mark.parametrize("are_found", [True, False])
def test_no_request_reads_the_source_of_an_endpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, are_found: bool
) -> None:
    """The framework would, on the event loop, at the first request to each."""
    if not are_found:
        monkeypatch.setattr("service.composition.framework.find_endpoints", lambda _: None)
    app = create_app(Settings(repository=tmp_path / "repository"))
    with TestClient(app) as client:
        app.framework.build()
        read: list[object] = []
        monkeypatch.setattr("inspect.getsourcelines", read.append)
        for path in ("/v2", "/v2/health/ready", "/v2/replicas", "/v2/models/x/ready", "/v1/models"):
            client.get(path)

    assert bool(read) is not are_found


@pytest.mark.parametrize(
    ("path", "status"), [("/v2/health/live", 200), ("/v2/health/ready", 503), ("/v2", 500)], ids=["live", "ready", "v2"]
)
def test_health_checks_need_no_routes(tmp_path: Path, path: str, status: int) -> None:
    """Where the routes cannot be built, and the repository has not been read yet."""
    app = create_app(Settings(repository=tmp_path / "repository"))
    app.framework.build = lambda: pytest.fail("the routes are built")  # type: ignore[method-assign]

    async def ask() -> bytes:
        connection = Connection(app, Protocol)
        await connection.send(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
        written = connection.transport.written
        await connection.lose()
        return written

    assert asyncio.run(ask()).startswith(b"HTTP/1.1 %d" % status)
