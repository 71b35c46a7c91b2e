"""What a prediction costs, by the number of models that are loaded and the number of layers that are watched.

    python -m benchmarks.flat --write docs/benchmarks.md

In one process and without sockets, on 32 connections that never wait. `loop` is the processor time of the event loop
for one request, the least of many rounds: what other requests wait for. `process` is that of the whole process, with
the threads that watch, over some seconds. For layers it is compared with the same network that is not watched.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from time import monotonic, process_time

import torch
from torch import Tensor, nn

from benchmarks.pages import write_between
from benchmarks.service.networks import CALIBRATION_ROWS, make_bundle
from benchmarks.service.steps import CONNECTIONS, Connections, silenced
from models.repository.copying import copy_model
from models.repository.repository import Repository
from service.app import create_app
from service.http.predictions import Application
from service.settings import Settings

MODELS = (1, 10, 100)
LAYERS = (1, 10, 100)
WIDTH = 16
WATCH_PERCENT = 2.0
WARM_UP_ROUNDS = 50


class Stack(nn.Module):
    """Many narrow layers with batch normalisation: watching them costs much, and running them little."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.BatchNorm1d(WIDTH)) for _ in range(depth))
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + layer(x).relu()
        return x


@dataclass(frozen=True)
class Cost:
    """Microseconds of processor time for one request."""

    loop: float
    process: float


def publish(folder: Path, name: str, depth: int) -> None:
    torch.manual_seed(0)
    Repository(folder).publish(make_bundle(name, Stack(depth), [WIDTH], CALIBRATION_ROWS))


def request_of(model: str) -> bytes:
    values = ",".join(f"0.{i:02d}" for i in range(WIDTH))
    body = f'{{"inputs":[{{"name":"input","shape":[1,{WIDTH}],"datatype":"FP32","data":[{values}]}}]}}'
    head = f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()


async def cost(app: Application, request: bytes, seconds: float) -> Cost:
    connections = Connections(app)
    for _ in range(WARM_UP_ROUNDS):
        await connections.ask(request)
    ends, start, rounds = monotonic() + seconds, process_time(), []
    while monotonic() < ends:
        rounds.append(await connections.ask(request))
    total = process_time() - start
    connections.close()
    return Cost(1e6 * min(rounds) / CONNECTIONS, 1e6 * total / len(rounds) / CONNECTIONS)


async def measure(folder: Path, model: str, seconds: float, watch_percent: float) -> Cost:
    app = create_app(Settings(repository=folder, starters=False, threads=1, watch_percent=watch_percent))
    async with app.running():
        return await cost(app, request_of(model), seconds)


def by_models(seconds: float) -> Iterator[str]:
    yield "| models loaded | loop us | process us |"
    yield "|---:|---:|---:|"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        publish(Path(folder), "stack-0", 10)
        for count in MODELS:
            for i in range(count):
                if not Path(folder, f"stack-{i}").exists():
                    copy_model(Path(folder, "stack-0"), f"stack-{i}", Repository(Path(folder)))
            with silenced():
                found = asyncio.run(measure(Path(folder), "stack-0", seconds, WATCH_PERCENT))
            yield f"| {count} | {found.loop:.0f} | {found.process:.0f} |"


def by_layers(seconds: float) -> Iterator[str]:
    yield "| layers | loop us, not watched | loop us, watched | process us, not watched | process us, watched |"
    yield "|---:|---:|---:|---:|---:|"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for depth in LAYERS:
            publish(Path(folder) / f"{depth}", "stack", depth)
            with silenced():
                off, on = (
                    asyncio.run(measure(Path(folder) / f"{depth}", "stack", seconds, p)) for p in (0, WATCH_PERCENT)
                )
            yield f"| {depth} | {off.loop:.0f} | {on.loop:.0f} | {off.process:.0f} | {on.process:.0f} |"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flat", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="of load for each row")
    parser.add_argument("--write", type=Path, help="page with the two marker comments")
    given = parser.parse_args(arguments)
    lines: list[str] = []
    for line in chain(by_models(given.seconds), [""], by_layers(given.seconds)):
        print(line, flush=True)
        lines.append(line)
    text = "\n".join(lines)
    if given.write:
        write_between(given.write, "flat", text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
