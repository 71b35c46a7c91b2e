"""What more requests than a model can answer do to it, to the service's health and to another model.

    python -m benchmarks.overload [--times 3] [--seconds 10]

First the capacity is measured: a closed loop of 16 connections asks ResNet-18, one image a request. Then requests
arrive at random (Poisson) at a multiple of it, whether or not earlier ones have been answered, each on a connection of
its own as long as none is idle. Meanwhile one client asks for the health and one for a small prediction, every 20 ms.
The service is pinned to one core, the clients run on the others.
"""

import argparse
import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from benchmarks.service.cases import CASES, Question, questions
from benchmarks.service.process import Running, free_port
from benchmarks.service.servers import SERVERS
from benchmarks.service.workspace import ROOT, models_folder

PROBE_SECONDS = 0.02
CLOSED_CONNECTIONS = 16


class Connection:
    """One keep-alive connection, one request at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> int:
        """Send a request; returns the status of the answer, whose body is read to its end. 0 where it was closed."""
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
            await reader.readexactly(int(fields.get(b"content-length", b"0")))
            if fields.get(b"connection") == b"close":
                self.close()
            return int(head[9:12])
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            return 0

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


@dataclass
class Answers:
    """Seconds of the answers, by status."""

    seconds: dict[int, list[float]] = field(default_factory=dict)

    def add(self, status: int, seconds: float) -> None:
        self.seconds.setdefault(status, []).append(seconds)

    def line(self, what: str, over: float) -> str:
        parts = [
            f"{status or 'closed'}: {len(found)} ({len(found) / over:.0f}/s), "
            f"p50 {at(found, 0.5)}, p99 {at(found, 0.99)}, max {at(found, 1)}"
            for status, found in sorted(self.seconds.items())
        ]
        return f"{what:18} {'; '.join(parts)}"


def at(seconds: list[float], share: float) -> str:
    """A quantile in milliseconds."""
    return f"{sorted(seconds)[min(int(len(seconds) * share), len(seconds) - 1)] * 1e3:.1f} ms"


def as_bytes(question: Question) -> bytes:
    headers = {"Host": "127.0.0.1", "Content-Length": str(len(question.body)), **question.headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {question.path} HTTP/1.1\r\n{head}\r\n".encode() + question.body


async def timed(connection: Connection, request: bytes, answers: Answers) -> int:
    start = perf_counter()
    status = await connection.ask(request)
    answers.add(status, perf_counter() - start)
    return status


async def closed_loop(port: int, requests: list[bytes], seconds: float) -> float:
    """Answers a second of connections that each send a request when they have an answer."""
    answers, end = Answers(), perf_counter() + seconds

    async def client(request: bytes) -> None:
        connection = Connection(port)
        while perf_counter() < end:
            await timed(connection, request, answers)
        connection.close()

    await asyncio.gather(*(client(requests[i % len(requests)]) for i in range(CLOSED_CONNECTIONS)))
    return len(answers.seconds.get(200, [])) / seconds


async def open_arrivals(port: int, requests: list[bytes], rate: float, seconds: float) -> Answers:
    """Requests at random times, at this rate, however many are unanswered."""
    answers, idle, running = Answers(), list[Connection](), set[asyncio.Task[None]]()
    generator, start, due = random.Random(0), perf_counter(), 0.0

    async def one(connection: Connection, request: bytes) -> None:
        await timed(connection, request, answers)
        idle.append(connection)

    while due < seconds:
        await asyncio.sleep(max(0.0, start + due - perf_counter()))
        connection = idle.pop() if idle else Connection(port)
        task = asyncio.ensure_future(one(connection, generator.choice(requests)))
        running.add(task)
        task.add_done_callback(running.discard)
        due += generator.expovariate(rate)
    await asyncio.gather(*running)
    return answers


async def probe(port: int, request: bytes, answers: Answers) -> None:
    connection = Connection(port)
    while True:
        await timed(connection, request, answers)
        await asyncio.sleep(PROBE_SECONDS)


async def measure(port: int, models: Path, times: float, seconds: float) -> None:
    large = [as_bytes(question) for question in questions(CASES["image1"], models)]
    small = as_bytes(questions(CASES["json1"], models)[0])
    live = b"GET /v2/health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    await closed_loop(port, large, 1)
    capacity = await closed_loop(port, large, seconds / 2)
    print(f"capacity           {capacity:.0f}/s")
    health, other = Answers(), Answers()
    probes = [asyncio.ensure_future(probe(port, live, health)), asyncio.ensure_future(probe(port, small, other))]
    answers = await open_arrivals(port, large, times * capacity, seconds)
    recovering = perf_counter()
    connection = Connection(port)
    while await connection.ask(large[0]) != 200:
        pass
    recovered = perf_counter() - recovering
    for task in probes:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    print(answers.line(f"{times:g} x capacity", seconds))
    print(health.line("health", seconds))
    print(other.line("small prediction", seconds))
    print(f"answered again     {recovered * 1e3:.1f} ms after the last one")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=float, default=3, help="arrivals, as a multiple of the capacity")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--pending", type=int, default=256, help="the service's max_pending")
    chosen = parser.parse_args()
    port, models = free_port(), models_folder()
    command = [*SERVERS["denge"].start_command(port, models), "--max-pending", str(chosen.pending)]
    with Running(command, 0, {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, ROOT) as server:
        server.wait_until(
            lambda: asyncio.run(Connection(port).ask(b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n")) == 200
        )
        asyncio.run(measure(port, models, chosen.times, chosen.seconds))
        print(f"memory             {server.rss_mib():.0f} MiB")


if __name__ == "__main__":
    main()
