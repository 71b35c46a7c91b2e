"""A subscriber gets events in order, and is closed when it falls behind."""

import asyncio

from service.watching.alarms.subscriber import MAX_UNSENT_EVENTS, Subscriber
from tests.awaiting import within_time


def test_events_come_in_order() -> None:
    async def scenario() -> None:
        subscriber = Subscriber()
        for number in range(MAX_UNSENT_EVENTS):
            subscriber.publish(b"%d" % number)
        for number in range(MAX_UNSENT_EVENTS):
            assert await within_time(subscriber.next(), f"event {number} does not come") == b"%d" % number

    asyncio.run(scenario())


def test_one_event_too_many_closes_it() -> None:
    async def scenario() -> None:
        subscriber = Subscriber()
        for _ in range(MAX_UNSENT_EVENTS):
            subscriber.publish(b"event")
        assert not subscriber.is_closed
        subscriber.publish(b"event")
        assert subscriber.is_closed
        await within_time(subscriber.wait_closed(), "waiting for a closed subscriber does not return")

    asyncio.run(scenario())


def test_a_closed_one_gets_no_more_events() -> None:
    async def scenario() -> None:
        subscriber = Subscriber()
        subscriber.publish(b"before")
        subscriber.close()
        subscriber.publish(b"after")
        assert await within_time(subscriber.next(), "the event before closing is lost") == b"before"
        following = asyncio.ensure_future(subscriber.next())
        await asyncio.sleep(0)
        assert not following.done()
        following.cancel()

    asyncio.run(scenario())
