"""Every subscriber gets what happens; nothing waits for a slow one, and none outlives the service."""

import asyncio
import json
from contextlib import ExitStack
from typing import Any

import pytest

from models.errors import Overloaded
from service.host.lifecycle import Lifecycle
from service.telemetry.statistics import ServiceStatistics
from service.watching.alarms.events import MAX_OPERATORS, MAX_SUBSCRIBERS, MAX_SUBSCRIPTIONS_PER_CLIENT, Events
from service.watching.alarms.subscriber import MAX_UNSENT_EVENTS, Subscriber
from tests.awaiting import within_time
from tests.service.watching.doubles import ALARM, Clock


def publisher(statistics: ServiceStatistics | None = None, lifecycle: Lifecycle | None = None, **given: Any) -> Events:
    counted = statistics or ServiceStatistics()

    async def gather() -> ServiceStatistics:
        return counted

    return Events(gather, lifecycle or Lifecycle(), **given)


async def next_event(subscriber: Subscriber) -> tuple[str, dict[str, Any]]:
    event = await within_time(subscriber.next(), "no event is published")
    kind, data, *rest = event.decode().split("\n")
    assert rest == ["", ""]
    return kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))


async def run_pending() -> None:
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_an_alarm_reaches_every_subscriber_from_any_thread() -> None:
    async def scenario() -> None:
        events = publisher()
        with events.subscribe() as one, events.subscribe() as other:
            await asyncio.to_thread(events.publish_alarm, ALARM)
            for subscriber in (one, other):
                assert await next_event(subscriber) == ("drift", ALARM.model_dump(mode="json"))

    asyncio.run(scenario())


def test_an_alarm_without_subscribers_is_nothing_to_publish() -> None:
    publisher().publish_alarm(ALARM)


def test_traffic_is_what_has_come_since_it_was_last_published(clock: Clock) -> None:
    async def scenario() -> None:
        statistics = ServiceStatistics()
        counted = statistics.of("tiny", 1)
        counted.success.add(0.2)
        events = publisher(statistics, clock=clock)
        with events.subscribe() as subscriber:
            await run_pending()  # the first reading
            for requests in (6, 0):
                for _ in range(requests):
                    counted.success.add(0.0004)
                clock.now += 2.0
                await events.publish_traffic()
                kind, data = await next_event(subscriber)
                (tiny,) = data["models"]
                assert (kind, tiny["requests"], tiny["requests_per_second"]) == ("statistics", 7, requests / 2)

    asyncio.run(scenario())


def test_traffic_is_published_as_long_as_anyone_subscribes() -> None:
    async def scenario() -> None:
        events = publisher(interval=0)
        for _ in range(2):
            with events.subscribe() as subscriber:
                for _ in range(3):
                    assert (await next_event(subscriber))[0] == "statistics"

    asyncio.run(scenario())


def test_a_slow_subscriber_is_closed_and_the_others_stay() -> None:
    async def scenario() -> None:
        events = publisher()
        with events.subscribe() as slow, events.subscribe() as quick:
            for _ in range(MAX_UNSENT_EVENTS + 1):
                events.publish_alarm(ALARM)
                await next_event(quick)
            await within_time(slow.wait_closed(), "the slow subscriber is not closed")
            assert not quick.is_closed

    asyncio.run(scenario())


def test_too_many_subscribers_are_refused() -> None:
    async def scenario() -> None:
        events = publisher()
        with ExitStack() as others:
            for _ in range(MAX_SUBSCRIBERS - 1):
                others.enter_context(events.subscribe())
            for _ in range(2):  # one that has left makes room for another
                with events.subscribe(), pytest.raises(Overloaded, match="subscribe"):
                    events.subscribe().__enter__()

    asyncio.run(scenario())


def test_a_client_has_a_share_and_operators_have_places_of_their_own() -> None:
    async def scenario() -> None:
        events = publisher()
        with ExitStack() as subscriptions:
            for _ in range(2):  # who has left makes room
                with ExitStack() as of_one:
                    for _ in range(MAX_SUBSCRIPTIONS_PER_CLIENT):
                        of_one.enter_context(events.subscribe("one"))
                    with pytest.raises(Overloaded, match="this client has") as refused:
                        of_one.enter_context(events.subscribe("one"))
                    assert refused.value.retry_after > 1
                    of_one.enter_context(events.subscribe("another"))
            for number in range(MAX_SUBSCRIBERS):
                subscriptions.enter_context(events.subscribe(f"client {number}"))
            with pytest.raises(Overloaded, match="clients subscribe"):
                subscriptions.enter_context(events.subscribe("late"))
            for _ in range(MAX_OPERATORS):
                subscriptions.enter_context(events.subscribe("late", is_operator=True))
            with pytest.raises(Overloaded, match="operators subscribe"):
                subscriptions.enter_context(events.subscribe("late", is_operator=True))

    asyncio.run(scenario())


def test_all_subscribers_are_closed_when_the_service_stops() -> None:
    async def scenario() -> None:
        lifecycle = Lifecycle()
        events = publisher(lifecycle=lifecycle, interval=0)
        with events.subscribe() as subscriber:
            await next_event(subscriber)
            lifecycle.stopping = True
            await within_time(subscriber.wait_closed(), "a subscriber outlives the service")

    asyncio.run(scenario())


def test_all_subscribers_are_closed_when_the_traffic_cannot_be_read() -> None:
    """They connect again, and so see what follows."""

    async def scenario() -> None:
        async def fail() -> ServiceStatistics:
            raise OSError("a worker is gone")

        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        events = Events(fail, Lifecycle())
        with events.subscribe() as subscriber:
            await within_time(subscriber.wait_closed(), "a subscriber waits for ever")

    asyncio.run(scenario())
