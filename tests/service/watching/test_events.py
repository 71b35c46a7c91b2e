"""Whoever listens is told what happens; nobody waits for who does not keep up, and nobody outlives the service."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import FastAPI

from models.errors import Overloaded
from service.host.lifecycle import Lifecycle
from service.http import errors
from service.routes import events as events_routes
from service.telemetry.statistics import ServiceStatistics
from service.watching import events
from service.watching.alarm import Alarm
from service.watching.events import MOST_LISTENERS, MOST_UNSENT, Events, Listener

ALARM = Alarm(
    model="tiny",
    version="1",
    alarm=True,
    verdict="covariate_shift",
    message="It has moved.",
    time=datetime(2026, 1, 2, tzinfo=UTC),
    rows=64,
    statistic=9.0,
    threshold=4.0,
    symmetric_kl=1.5,
    wasserstein=0.5,
    layers={"norm": 1.5},
)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 60))


def happening(statistics: ServiceStatistics | None = None, state: Lifecycle | None = None) -> Events:
    counted = statistics or ServiceStatistics()

    async def gather() -> ServiceStatistics:
        return counted

    return Events(gather, state or Lifecycle())


def parsed(event: bytes) -> tuple[str, dict[str, Any]]:
    kind, data, *rest = event.decode().split("\n")
    assert rest == ["", ""]
    return kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))


async def turn() -> None:
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_an_alarm_reaches_every_listener_from_any_thread() -> None:
    async def scenario() -> None:
        found = happening()
        with found.listen() as one, found.listen() as other:
            await asyncio.to_thread(found.tell, ALARM)
            for listener in (one, other):
                assert parsed(await listener.next()) == ("drift", ALARM.model_dump(mode="json"))

    run(scenario())


def test_traffic_is_what_has_come_since_the_last_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(events, "monotonic", lambda: now[0])

    async def scenario() -> None:
        statistics = ServiceStatistics()
        counted = statistics.versions["tiny", 1]
        for _ in range(5):
            counted.success.add(0.2)
        found = happening(statistics)
        with found.listen() as listener:
            await turn()  # the first reading
            for _ in range(10):
                counted.success.add(0.0004)
            counted.fail.add(0.0004)
            counted.rows += 30
            now[0] += 2.0
            await found.tell_traffic()
            now[0] += 1.0
            await found.tell_traffic()

            kind, first = parsed(await listener.next())
            assert kind == "statistics"
            (tiny,) = first["models"]
            assert (tiny["model"], tiny["version"], tiny["requests"], tiny["rows"]) == ("tiny", "1", 16, 30)
            assert (tiny["requests_per_second"], tiny["rows_per_second"]) == (5.5, 15.0)
            assert 0 < tiny["p50_ms"] <= tiny["p99_ms"] <= 0.5  # and not 200, as before
            (tiny,) = parsed(await listener.next())[1]["models"]
            assert (tiny["requests"], tiny["requests_per_second"], tiny["p50_ms"]) == (16, 0.0, None)

    run(scenario())


def test_one_who_does_not_keep_up_is_let_go_and_the_others_stay() -> None:
    async def scenario() -> None:
        found = happening()
        with found.listen() as slow, found.listen() as quick:
            for _ in range(MOST_UNSENT + 1):
                found.tell(ALARM)
                await turn()
                await quick.next()
            await slow.left()
            assert not quick._left.is_set()

    run(scenario())


def test_too_many_listeners_are_refused() -> None:
    async def scenario() -> None:
        found = happening()
        listening = [found.listen() for _ in range(MOST_LISTENERS)]
        for one in listening:
            one.__enter__()
        with pytest.raises(Overloaded, match="listen"):
            found.listen().__enter__()
        listening[0].__exit__(None, None, None)
        with found.listen():
            pass
        for one in listening[1:]:
            one.__exit__(None, None, None)

    run(scenario())


def test_all_leave_when_the_service_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_SECONDS", 0)

    async def scenario() -> None:
        state = Lifecycle()
        found = happening(state=state)
        with found.listen() as listener:
            await listener.next()
            state.stopping = True
            await listener.left()

    run(scenario())


class Caller:
    """Listens over ASGI, and goes away when it is told to."""

    def __init__(self, found: Events) -> None:
        app = FastAPI()
        errors.install(app)
        app.include_router(events_routes.router(found))
        self.gone = asyncio.Event()
        self.blocked = asyncio.Event()
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.reads = True
        scope = {"type": "http", "method": "GET", "path": "/v2/events", "headers": [], "query_string": b""}
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))
        self._asked = False

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if not self.reads:
            self.blocked.set()
            await asyncio.Event().wait()
        self.messages.put_nowait(message)


def over_asgi(scenario: Callable[[Events, Caller], Coroutine[Any, Any, None]], state: Lifecycle) -> None:
    async def begin() -> None:
        found = happening(state=state)
        caller = Caller(found)
        start = await caller.messages.get()
        assert start["status"] == 200
        headers = dict(start["headers"])
        assert headers[b"content-type"] == b"text/event-stream; charset=utf-8"
        assert b"content-length" not in headers
        await scenario(found, caller)
        await caller.task
        assert not found._listeners

    run(begin())


def test_a_caller_is_told_until_it_goes() -> None:
    async def scenario(found: Events, caller: Caller) -> None:
        found.tell(ALARM)
        message = await caller.messages.get()
        assert message["more_body"]
        assert parsed(message["body"])[0] == "drift"
        caller.gone.set()

    over_asgi(scenario, Lifecycle())


def test_a_caller_learns_that_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_SECONDS", 0)
    state = Lifecycle()

    async def scenario(_found: Events, caller: Caller) -> None:
        state.stopping = True
        message = await caller.messages.get()
        while message.get("more_body"):
            message = await caller.messages.get()

    over_asgi(scenario, state)


def test_a_caller_that_does_not_read_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_routes, "_SECONDS_TO_END", 0)

    async def scenario(found: Events, caller: Caller) -> None:
        caller.reads = False
        found.tell(ALARM)
        await caller.blocked.wait()
        for _ in range(MOST_UNSENT + 1):
            found.tell(ALARM)

    over_asgi(scenario, Lifecycle())


def test_a_listener_keeps_the_order() -> None:
    async def scenario() -> None:
        listener = Listener()
        for number in range(MOST_UNSENT):
            listener.tell(b"%d" % number)
        assert [await listener.next() for _ in range(MOST_UNSENT)] == [b"%d" % n for n in range(MOST_UNSENT)]

    run(scenario())
