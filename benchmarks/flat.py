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

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.pages import write_between
from benchmarks.service.steps import CONNECTIONS, Connections, silenced
from models.assemble import assemble, signed_lineage
from models.model_info import ModelInfo
from models.repository import held_out
from models.repository.copying import copy_model
from models.repository.repository import Repository
from service.app import create_app
from service.http.predictions import Application
from service.settings import Settings

MODELS = (1, 10, 100)
LAYERS = (1, 10, 100, 500)
WIDTH = 16
ROWS = 64
NORM = {"weight": 0.1, "bias": 0.0, "mean": 0.0, "variance": 1.0}
"""Of each layer; a small weight, so that values stay finite through hundreds of sums."""

WATCH_PERCENT = 2.0
WARM_UP_ROUNDS = 50


@dataclass(frozen=True)
class Cost:
    """Microseconds of processor time for one request."""

    loop: float
    process: float


def stack(depth: int) -> onnx.ModelProto:
    """A source graph of many narrow layers with batch normalisation: watching them costs much, and running them little.

    Made without torch, whose exporter takes minutes for 500 layers.
    """
    random = np.random.default_rng(0)
    nodes, weights, tensor = [], [], "input"

    def weight(name: str, values: NDArray[np.float64]) -> str:
        weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    for number in range(depth):
        name = f"layers.{number}"
        linear = [weight(f"{name}.weight", random.normal(0, WIDTH**-0.5, (WIDTH, WIDTH)))]
        linear += [weight(f"{name}.bias", np.zeros(WIDTH))]
        norm = [weight(f"{name}.norm.{part}", np.full(WIDTH, value)) for part, value in NORM.items()]
        following = "logits" if number == depth - 1 else f"{name}.output"
        nodes += [
            helper.make_node("Gemm", [tensor, *linear], [f"{name}.linear"], name, transB=1),
            helper.make_node("BatchNormalization", [f"{name}.linear", *norm], [f"{name}.normed"], f"{name}.norm"),
            helper.make_node("Relu", [f"{name}.normed"], [f"{name}.relu"], f"{name}.relu"),
            helper.make_node("Add", [tensor, f"{name}.relu"], [following], f"{name}.add"),
        ]
        tensor = following
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, ["batch", WIDTH]) for end in ("input", "logits")]
    graph = helper.make_graph(nodes, "stack", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def publish(folder: Path, name: str, depth: int) -> None:
    rows = {"input": np.random.default_rng(1).random((ROWS, WIDTH), np.float32)}
    lineage = signed_lineage("imported")
    bundle = assemble(stack(depth), ModelInfo(name), lineage, rows=rows, held_out=held_out.keep(rows))
    Repository(folder).publish(bundle)


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
