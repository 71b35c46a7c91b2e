"""The late parts are assembled once, by whoever needs them first, and end with the service."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from models.repository.repository import Repository
from service.app import create_app
from service.composition import late_parts
from service.composition.late_assembly import LateAssembly
from service.http.predictions import Application
from service.http.protocol import Protocol
from service.settings import Settings
from tests.awaiting import within_time
from tests.service.http.connections import Connection
from tests.watching import watched_bundle

INFER = b'{"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}'


class Late:
    """Parts that note what is done with them."""

    def __init__(self) -> None:
        self.done: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.done.append("started")
        yield
        self.done.append("ended")

    async def stop(self) -> None:
        self.done.append("stopped")


def assembly(late: Late, before: Callable[[], object] = lambda: None) -> LateAssembly:
    def assemble() -> Any:
        before()
        late.done.append("assembled")
        return late

    return LateAssembly(assemble)


def test_they_are_assembled_once() -> None:
    late = Late()
    parts = assembly(late)
    with ThreadPoolExecutor(8) as threads:
        found = [threads.submit(parts.get) for _ in range(32)]

    assert {id(each.result()) for each in found} == {id(late)}
    assert late.done == ["assembled"]


def test_what_fails_is_tried_again() -> None:
    failures, late = [RuntimeError("once")], Late()

    def fail_once() -> None:
        if failures:
            raise failures.pop()

    parts = assembly(late, fail_once)

    with pytest.raises(RuntimeError, match="once"):
        parts.get()
    assert parts.known is None
    assert parts.get() is late  # type: ignore[comparison-overlap]


def test_they_are_started_once_and_end_with_the_service() -> None:
    late = Late()

    async def play() -> None:
        parts = assembly(late)
        async with parts.running():
            await asyncio.gather(*(parts.open() for _ in range(8)))
            await parts.stop()

    asyncio.run(play())
    assert late.done == ["assembled", "started", "stopped", "ended"]


def test_a_service_that_needed_none_of_them_ends_without() -> None:
    late = Late()

    async def play() -> None:
        async with assembly(late).running():
            pass

    asyncio.run(play())
    assert late.done == []


def test_those_that_are_assembled_when_the_service_ends_are_not_started() -> None:
    late, may_assemble = Late(), threading.Event()

    async def play() -> None:
        parts = assembly(late, lambda: may_assemble.wait(60))
        async with parts.running():
            opening = asyncio.create_task(parts.open())
            await asyncio.sleep(0)
        may_assemble.set()
        await opening

    asyncio.run(within_time(play(), "the service does not end"))
    assert late.done == ["assembled"]


@pytest.fixture
def app(tmp_path: Path) -> Application:
    Repository(tmp_path / "repository").publish(watched_bundle())
    settings = Settings(repository=tmp_path / "repository", starters=False, state_dir=tmp_path / "state")
    return create_app(settings.model_copy(update={"watch_percent": 100}))


async def send(app: Application, head: bytes, body: bytes = b"") -> bytes:
    connection = Connection(app, Protocol)
    await connection.send(b"%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (head, len(body), body))
    return connection.transport.written


def test_predictions_are_answered_before_and_their_rows_observed_afterwards(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_assemble, assemble = threading.Event(), late_parts.assemble_late_parts

    def wait(*given: Any) -> Any:
        assert may_assemble.wait(60)
        return assemble(*given)

    monkeypatch.setattr(late_parts, "assemble_late_parts", wait)

    async def play() -> None:
        async with app.running():
            answer = await send(app, b"POST /v2/models/tiny/infer", INFER)
            assert answer.startswith(b"HTTP/1.1 200"), answer
            asked = asyncio.create_task(send(app, b"GET /v2/models/tiny/recalibrations"))
            await asyncio.sleep(0)
            assert not asked.done()  # it waits, and is neither 404 nor 500
            may_assemble.set()
            assert (await asked).startswith(b"HTTP/1.1 200")
            while True:
                live = await send(app, b"GET /v2/models/tiny/live?window=start")
                if json.loads(live.split(b"\r\n\r\n")[1])["rows"] == 1:
                    break

    asyncio.run(within_time(play(), "the first row is not observed"))
