"""The stream of events ends with the client, with the service, and for a client that does not read."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import Any

import pytest
from fastapi import FastAPI

from service.access import Guard
from service.host.lifecycle import Lifecycle
from service.routes import events as events_routes
from service.telemetry.statistics import ServiceStatistics
from service.watching.alarms.events import MAX_SUBSCRIBERS, Events
from service.watching.alarms.subscriber import MAX_UNSENT_EVENTS
from tests.awaiting import within_time
from tests.service.watching.doubles import ALARM


class Client:
    """Reads the stream over ASGI, and disconnects when it is told to."""

    def __init__(self, events: Events) -> None:
        app = FastAPI()
        app.include_router(events_routes.router(events, Guard()))
        self.disconnect = asyncio.Event()
        self.reads = True
        self.is_blocked = asyncio.Event()
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._requested = False
        scope = {"type": "http", "method": "GET", "path": "/v2/events", "headers": [], "query_string": b""}
        self.response = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def message(self) -> dict[str, Any]:
        return await within_time(self._messages.get(), "the stream sends nothing")

    async def _receive(self) -> dict[str, Any]:
        if not self._requested:
            self._requested = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.disconnect.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if not self.reads:
            self.is_blocked.set()
            await asyncio.Event().wait()
        self._messages.put_nowait(message)


Scenario = Callable[[Events, Client], Coroutine[Any, Any, None]]


def stream(scenario: Scenario, lifecycle: Lifecycle | None = None, interval: float = 1.0) -> None:
    """Run a scenario after which the stream must have ended, and its subscription with it."""

    async def gather() -> ServiceStatistics:
        return ServiceStatistics()

    async def run() -> None:
        events = Events(gather, lifecycle or Lifecycle(), interval)
        client = Client(events)
        start = await client.message()
        assert start["status"] == 200
        headers = dict(start["headers"])
        assert headers[b"content-type"] == b"text/event-stream; charset=utf-8"
        assert b"content-length" not in headers
        await scenario(events, client)
        await within_time(client.response, "the stream does not end")
        with ExitStack() as subscriptions:  # there is room for all of them
            for _ in range(MAX_SUBSCRIBERS):
                subscriptions.enter_context(events.subscribe())

    asyncio.run(run())


def test_a_client_gets_events_until_it_disconnects() -> None:
    async def scenario(events: Events, client: Client) -> None:
        events.publish_alarm(ALARM)
        message = await client.message()
        assert message["more_body"]
        kind, data, *_ = message["body"].decode().split("\n")
        assert (kind, json.loads(data.removeprefix("data: "))) == ("event: drift", ALARM.model_dump(mode="json"))
        client.disconnect.set()

    stream(scenario)


def test_the_stream_of_a_service_that_stops_is_complete() -> None:
    lifecycle = Lifecycle()

    async def scenario(_events: Events, client: Client) -> None:
        lifecycle.stopping = True
        bodies = [await client.message()]
        while bodies[-1].get("more_body"):
            bodies.append(await client.message())
        assert bodies[-1] == {"type": "http.response.body", "body": b""}

    stream(scenario, lifecycle, interval=0)


def test_a_client_that_does_not_read_delays_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_routes, "CLOSE_TIMEOUT", 0)

    async def scenario(events: Events, client: Client) -> None:
        client.reads = False
        events.publish_alarm(ALARM)
        await within_time(client.is_blocked.wait(), "nothing is sent to the client")
        for _ in range(MAX_UNSENT_EVENTS + 1):
            events.publish_alarm(ALARM)

    stream(scenario)
