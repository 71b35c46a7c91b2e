"""Closed-loop load over gRPC: so many calls at a time, over a few connections."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import uvloop

from benchmarks.grpc.requests import PATH, Question

CONNECTIONS = 8
CALL_SECONDS = 20
WARM_UP_SECONDS = 1.0


@dataclass
class Load:
    """What was answered, and what it cost the server."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    milliseconds: list[float] = field(default_factory=list)

    @property
    def cpu_s_per_1000(self) -> float:
        return 1000 * self.cpu_seconds / max(len(self.milliseconds), 1)


def is_answered(port: int, question: Question) -> bool:
    """Whether a server gives the right answer now."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            return question.is_answered_by(_call(channel)(question.body, timeout=CALL_SECONDS))
        except grpc.RpcError:
            return False


def _call(channel: grpc.Channel | grpc.aio.Channel) -> Any:
    """The method, which takes and returns bytes; the stubs of gRPC have no serializers that are absent."""
    return channel.unary_unary(PATH)


def load(
    port: int, questions: Sequence[Question], cpu_seconds: Callable[[], float], *, concurrency: int, seconds: float
) -> Load:
    """Load a server.

    Raises:
        grpc.RpcError: a call failed.
    """
    return uvloop.run(_load(port, questions, cpu_seconds, concurrency, seconds))


async def _load(
    port: int, questions: Sequence[Question], cpu_seconds: Callable[[], float], concurrency: int, seconds: float
) -> Load:
    options = [("grpc.use_local_subchannel_pool", 1)]  # else all channels share one connection
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) for _ in range(CONNECTIONS)]
    calls = [_call(channel) for channel in channels]

    async def client(number: int, end: float, into: list[float]) -> None:
        turn = number
        while (start := time.monotonic()) < end:
            await calls[number % CONNECTIONS](questions[turn % len(questions)].body, timeout=CALL_SECONDS)
            into.append((time.monotonic() - start) * 1e3)
            turn += 1

    async def clients(duration: float, into: list[float]) -> None:
        end = time.monotonic() + duration
        await asyncio.gather(*(client(number, end, into) for number in range(concurrency)))

    await clients(WARM_UP_SECONDS, [])
    seen = Load()
    cpu, start = cpu_seconds(), time.monotonic()
    await clients(seconds, seen.milliseconds)
    seen.cpu_seconds, seen.seconds = cpu_seconds() - cpu, time.monotonic() - start
    await asyncio.gather(*(channel.close() for channel in channels))
    return seen
