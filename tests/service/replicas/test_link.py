"""Messages between two processes, over a real pair of sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from service.replicas.link import HandlerFailed, Link, LinkClosed


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[Link, Link]]:
    ends = socket.socketpair()
    links = await Link.open(ends[0]), await Link.open(ends[1])
    reading = [asyncio.create_task(link.run()) for link in links]
    try:
        yield links
    finally:
        for link in links:
            link.close()
        await asyncio.gather(*reading)


async def echo(payload: bytes) -> bytes:
    return payload


@pytest.mark.parametrize("payload", [b"", b"\n\n", bytes(range(256)) * 10_000])
def test_an_answer_comes_back_as_it_was_sent_from_either_side(payload: bytes) -> None:
    async def scenario() -> None:
        async with linked() as (control, worker):
            control.on("echo", echo)
            worker.on("echo", echo)

            assert await control.request("echo", payload) == payload
            assert await worker.request("echo", payload) == payload

    asyncio.run(scenario())


def test_messages_of_one_kind_are_handled_in_turn_and_do_not_hold_up_others() -> None:
    async def scenario() -> None:
        release = asyncio.Event()
        handled: list[bytes] = []

        async def slow(payload: bytes) -> bytes:
            await release.wait()
            handled.append(payload)
            return b""

        async with linked() as (control, worker):
            worker.on("slow", slow)
            worker.on("echo", echo)
            asked = [asyncio.create_task(control.request("slow", b"%d" % number)) for number in range(20)]
            await asyncio.sleep(0)  # for the tasks to begin

            assert await control.request("echo", b"!") == b"!"
            assert not handled
            release.set()
            await asyncio.gather(*asked)
            assert handled == [b"%d" % number for number in range(20)]

    asyncio.run(scenario())


def test_what_a_handler_raises_is_raised_where_it_was_asked_for() -> None:
    async def scenario() -> None:
        async def broken(_payload: bytes) -> bytes:
            raise ValueError("no such thing")

        async with linked() as (control, worker):
            worker.on("broken", broken)
            worker.on("echo", echo)

            with pytest.raises(HandlerFailed, match="no such thing"):
                await control.request("broken")
            with pytest.raises(HandlerFailed, match="nobody"):
                await control.request("nobody")
            assert control.send("broken")
            assert await control.request("echo", b"!") == b"!"

    asyncio.run(scenario())


def test_who_waits_learns_that_the_other_side_has_gone() -> None:
    async def scenario() -> None:
        async with linked() as (control, worker):

            async def gone(_payload: bytes) -> bytes:
                worker.close()
                return b""

            worker.on("gone", gone)
            with pytest.raises(LinkClosed):
                await control.request("gone")
            with pytest.raises(LinkClosed):
                await control.request("gone")
            assert not control.send("gone")

    asyncio.run(scenario())


def test_told_from_another_thread_it_arrives() -> None:
    async def scenario() -> None:
        arrived: asyncio.Queue[bytes] = asyncio.Queue()

        async def keep(payload: bytes) -> bytes:
            await arrived.put(payload)
            return b""

        async with linked() as (control, worker):
            control.on("delta", keep)
            assert await asyncio.to_thread(worker.send, "delta", b"1")
            assert await arrived.get() == b"1"

    asyncio.run(scenario())


def test_a_side_that_does_not_read_is_told_no_more_than_a_bounded_amount() -> None:
    async def scenario() -> None:
        ends = socket.socketpair()
        worker = await Link.open(ends[0])  # nobody reads the other end
        told = 0
        while worker.send("delta", bytes(1 << 20)):
            told += 1
            await asyncio.sleep(0)  # for it to be written
            assert told < 100
        worker.close()
        ends[1].close()
        await worker.run()

    asyncio.run(scenario())
