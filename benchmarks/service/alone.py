"""A request that is alone: one connection without sockets, Denge and the bare program in turn.

    python -m benchmarks.service.alone
    python -m benchmarks.service.alone --before ../other-checkout --write docs/benchmarks.md

Differences of a microsecond are lost over sockets. Here each server is a process with an event loop, on one core, which
answers a block of requests when it is told to; then the next server does. A block's figure is the tenth part of its
times, and the table has the medians of the blocks, and of the differences between blocks of one round. Each request has
other numbers than the one before, as over sockets. Nothing is observed, and the log is written to a file.
"""

import argparse
import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from itertools import cycle
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, TextIO

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from benchmarks.pages import write_between
from benchmarks.service.cases import CASES, inputs
from benchmarks.service.limits import bare
from benchmarks.service.steps import silenced
from benchmarks.service.wire import write_binary, write_json
from benchmarks.service.workspace import ROOT, models_folder
from service.app import create_app
from service.http.protocol import Protocol
from service.settings import Settings

COMMAND = "python -m benchmarks.service.alone"
BARE, DENGE, BEFORE = "bare-simdjson", "denge", "before"
BLOCK = 100
WARM_UP_BLOCKS = 3


class Transport(asyncio.Transport):
    """A connection without a network, whose responses end with so many writes."""

    def __init__(self, writes: int) -> None:
        super().__init__({"sockname": ("127.0.0.1", 8000), "peername": ("127.0.0.1", 50_000)})
        self._writes = self._left = writes
        self.answered: asyncio.Future[None] = asyncio.Future()

    def write(self, data: Any) -> None:
        if self._left == self._writes and not data.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"a request was refused: {data!r}")
        self._left -= 1
        if not self._left:
            self._left = self._writes
            self.answered.set_result(None)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def requests(name: str) -> Iterator[bytes]:
    case, made = CASES[name], []
    for rows in inputs(case):
        headers, body = (write_binary if case.binary else write_json)(rows)
        lines = "".join(f"{field}: {value}\r\n" for field, value in headers.items())
        head = f"POST /v2/models/{case.model}/infer HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
        made.append(head.encode() + body)
    return cycle(made)


async def answer_blocks(case: str, server: str, models: Path, results: TextIO) -> None:
    """Answer a block for each line of the standard input, and write its microseconds."""
    async with AsyncExitStack() as stack:
        app: Any = bare.with_simdjson() if server == BARE else create_app(_settings(models))
        if server != BARE:
            await stack.enter_async_context(app.running())
        kind = HttpToolsProtocol if server == BARE else Protocol
        config = uvicorn.Config(app, http=kind, log_config=None, access_log=False, ws="none")
        config.load()
        protocol: Any = kind(config, ServerState(), {}, asyncio.get_running_loop())
        transport = Transport(writes=2 if server == BARE else 1)
        protocol.connection_made(transport)
        asked = requests(case)
        for _ in sys.stdin:
            times = []
            for _ in range(BLOCK):
                segment = bytes(bytearray(next(asked)))  # as if it had just been received
                transport.answered = asyncio.Future()
                start = perf_counter()
                protocol.data_received(segment)
                await transport.answered
                times.append(perf_counter() - start)
            print(1e6 * sorted(times)[BLOCK // 10], file=results, flush=True)


def _settings(models: Path) -> Settings:
    return Settings(repository=models / "repository", threads=1, watch_percent=0, starters=False)


def measure(case: str, folders: dict[str, Path], rounds: int, core: int) -> dict[str, list[float]]:
    """Microseconds of each block of each server."""
    models = models_folder()
    found: dict[str, list[float]] = {name: [] for name in folders}
    with ExitStack() as stack:
        processes = {}
        for name, folder in folders.items():
            processes[name] = stack.enter_context(
                subprocess.Popen(
                    ["taskset", "-c", str(core), sys.executable, __file__, "--worker", case, name],
                    cwd=folder,
                    env={**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "MODELS_FOLDER": str(models)},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        for round_ in range(rounds + WARM_UP_BLOCKS):
            for name, process in processes.items():
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write("\n")
                process.stdin.flush()
                time = float(process.stdout.readline())
                if round_ >= WARM_UP_BLOCKS:
                    found[name].append(time)
    return found


def table(cases: list[str], folders: dict[str, Path], rounds: int, core: int) -> Iterator[str]:
    yield "| case | server | us a request | more than `bare-simdjson`, us | ratio |"
    yield "|---|---|---:|---:|---:|"
    for case in cases:
        found = measure(case, folders, rounds, core)
        for name, times in found.items():
            pairs = list(zip(times, found[BARE], strict=True))
            more, ratio = median(one - other for one, other in pairs), median(one / other for one, other in pairs)
            yield f"| `{case}` | {name} | {median(times):.0f} | {more:.1f} | {ratio:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog=COMMAND, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", nargs="+", default=["json1", "json32", "binary32"], metavar="NAME")
    parser.add_argument("--rounds", type=int, default=100, help="blocks of each server")
    parser.add_argument("--core", type=int, default=0, help="on which everything runs")
    parser.add_argument("--before", type=Path, help="another checkout of Denge, for the server 'before'")
    parser.add_argument("--write", type=Path, help="page with the two marker comments")
    options = parser.parse_args()
    folders = {BARE: ROOT, DENGE: ROOT} | ({BEFORE: options.before.resolve()} if options.before else {})
    text = "\n".join(table(options.case, folders, options.rounds, options.core))
    print(text)
    if options.write:
        made = f"Made by `{COMMAND} --case {' '.join(options.case)} --rounds {options.rounds}`."
        write_between(options.write, "alone", f"{text}\n\n{made}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        found = os.fdopen(os.dup(1), "w")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the log of the start
        with silenced():
            uvloop.run(answer_blocks(sys.argv[2], sys.argv[3], Path(os.environ["MODELS_FOLDER"]), found))
    else:
        main()
