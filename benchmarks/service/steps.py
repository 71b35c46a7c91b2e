"""Where the processor time of a prediction goes, step by step, in one process and without sockets.

    python -m benchmarks.service.steps

The MLP of the starters, with requests on 32 connections that arrive in one iteration of the event loop. Each figure is
the least of many repetitions, so that other processes change it little. `rest` is what is left of `whole`: admission,
the connection, its timers and its memory, and the response's head. `run alone` is the run of one request by itself.
"""

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import thread_time
from typing import Any

import httptools
import uvicorn
from uvicorn.server import ServerState

from benchmarks.service.cases import CASES, inputs
from benchmarks.service.wire import write_binary, write_json
from models.repository.repository import Repository
from models.runtime.engine import Engine
from service.app import create_app
from service.catalog.served_version import ServedVersion
from service.http.predictions import Application
from service.http.protocol import Protocol
from service.inference.batch import join_inputs
from service.settings import Settings
from service.telemetry.request_log import request_logger
from service.telemetry.requests import RequestRecorder
from service.telemetry.statistics import ServiceStatistics
from service.wire import v2_response

CONNECTIONS = 32
REPETITIONS = 60


class Transport(asyncio.Transport):
    """A connection without a network.

    Args:
        responses: counts what is written to all connections.
    """

    def __init__(self, responses: "Responses") -> None:
        super().__init__({"sockname": ("127.0.0.1", 8000), "peername": ("127.0.0.1", 50_000)})
        self._responses = responses

    def write(self, data: Any) -> None:
        if data.startswith(b"HTTP/1.1 200 "):
            self._responses.add()
        elif data.startswith(b"HTTP/"):
            raise RuntimeError(f"a request was refused: {data!r}")
        # Otherwise the body of a response that ASGI has given, after a run that took too long for the event loop.

    def is_closing(self) -> bool:
        return False

    def close(self) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Responses:
    """Counts the responses to one round of requests."""

    def __init__(self) -> None:
        self._left = CONNECTIONS
        self._all = asyncio.Event()

    def add(self) -> None:
        self._left -= 1
        if not self._left:
            self._all.set()

    async def wait(self) -> None:
        await self._all.wait()
        self._left = CONNECTIONS
        self._all.clear()


class Ignored:
    """Ignores what a parser finds."""

    def on_header(self, name: bytes, value: bytes) -> None: ...

    def on_body(self, body: bytes) -> None: ...


def least(call: Callable[[], object]) -> float:
    """Microseconds of processor time."""
    found = []
    for _ in range(REPETITIONS):
        start = thread_time()
        call()
        found.append(thread_time() - start)
    return 1e6 * min(found)


class Connections:
    """Connections to an application without a network.

    Args:
        app: answers.
    """

    def __init__(self, app: Application) -> None:
        config = uvicorn.Config(app, http=Protocol, log_config=None, access_log=False, ws="none")
        config.load()
        self._responses = Responses()
        loop = asyncio.get_running_loop()
        self._protocols = [Protocol(config, ServerState(), {}, loop) for _ in range(CONNECTIONS)]
        for protocol in self._protocols:
            protocol.connection_made(Transport(self._responses))

    async def ask(self, request: bytes) -> float:
        """Send a request on each of them. Returns seconds of the event loop's processor time until all are answered."""
        start = thread_time()
        for protocol in self._protocols:
            protocol.data_received(request)
        await self._responses.wait()
        return thread_time() - start

    def close(self) -> None:
        for protocol in self._protocols:
            protocol.connection_lost(None)


async def whole(app: Application, request: bytes) -> float:
    """Microseconds of a request from its bytes to those of its response."""
    connections = Connections(app)
    found = [await connections.ask(request) for _ in range(REPETITIONS)]
    connections.close()
    return 1e6 * min(found) / CONNECTIONS


async def steps(case: str, app: Application, served: ServedVersion) -> dict[str, float]:
    rows = inputs(CASES[case])[0]
    headers, body = (write_binary if CASES[case].binary else write_json)(rows)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST /v2/models/mlp/infer HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode()
    length = headers.get("Inference-Header-Content-Length")
    query = served.decoder.decode(body, length)
    outputs = served.engine.run(query.inputs)
    joined = min(CONNECTIONS, max(1, CONNECTIONS // len(rows)))
    together = [query.inputs] * joined
    recorder = RequestRecorder(ServiceStatistics(), request_logger("info", "json"))

    async def log() -> None:
        for _ in range(CONNECTIONS):
            recorder.record("/route", "POST", "/path", 200, "0123456789abcdef", 0.001, "127.0.0.1")
        await asyncio.sleep(0)

    start = thread_time()
    for _ in range(REPETITIONS):
        await log()
    logged = 1e6 * (thread_time() - start) / REPETITIONS / CONNECTIONS
    found = {
        "parse": least(lambda: httptools.HttpRequestParser(Ignored()).feed_data(head + body)),
        "decode and check": least(lambda: served.decoder.decode(body, length)),
        "run": least(lambda: served.engine.run(join_inputs(together))) / joined,
        "encode": least(lambda: v2_response.encode("mlp", 1, query, outputs)),
        "count and log": logged,
    }
    total = await whole(app, head + body)
    return {
        **found,
        "rest": total - sum(found.values()),
        "whole": total,
        "run alone": least(lambda: served.engine.run(query.inputs)),
    }


@contextmanager
def silenced() -> Iterator[None]:
    """Send the log of requests nowhere, as a file would take it."""
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


async def measure() -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(repository=Path(folder), threads=1, watch_percent=0))
        async with app.running():
            bundle = Repository(Path(folder)).read("mlp", 1)
            served = ServedVersion("mlp", 1, bundle.manifest, Engine(bundle.folded, bundle.manifest.inputs))
            return {case: await steps(case, app, served) for case in ("json1", "json32", "binary32")}


def main() -> None:
    with silenced():
        found = asyncio.run(measure())
    names = list(next(iter(found.values())))
    print(f"| us a request | {' | '.join(f'`{case}`' for case in found)} |")
    print(f"|---|{'---:|' * len(found)}")
    for name in names:
        print(f"| {name} | {' | '.join(f'{of_case[name]:.0f}' for of_case in found.values())} |")


if __name__ == "__main__":
    main()
