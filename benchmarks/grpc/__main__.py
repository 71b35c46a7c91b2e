"""What a prediction over gRPC costs, beside the limits of Python.

    python -m benchmarks.grpc --write docs/benchmarks.md
    python -m benchmarks.grpc --seconds 1 --rounds 1 --case raw1 --server denge bare
    python -m benchmarks.grpc --peer mlserver 4711 9001      # also a server that runs already: name, process id, port

A peer serves the model `mlp`, 784 -> 10, of the folder that the command prints.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median, quantiles

from benchmarks.grpc.load import is_answered, load
from benchmarks.grpc.requests import CASES, Question, questions
from benchmarks.pages import write_between
from benchmarks.service.process import Running, cpu_seconds, free_port, tree
from benchmarks.service.workspace import ROOT, models_folder

PYTHON = sys.executable
COMMANDS = {
    "denge": "-m service --port 0 --grpc-port {port} --repository {models}/repository --no-starters --threads 1",
    "bare": "-m benchmarks.grpc.limits bare {port} {models}/mlp.onnx",
    "echo": "-m benchmarks.grpc.limits echo {port} {models}/mlp.onnx",
}
ABOUT = (
    "`denge` is `python -m service --grpc-port`, one process; `bare` has grpc.aio on uvloop, protobuf and onnxruntime, "
    "and no checks; `echo` is grpc.aio with a fixed answer."
)


@dataclass(frozen=True)
class Target:
    """A server that answers."""

    name: str
    port: int
    cpu_seconds: Callable[[], float]


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_s_per_1000: float


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.grpc")
    parser.add_argument("--server", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--peer", nargs=3, action="append", default=[], metavar=("NAME", "PID", "PORT"))
    parser.add_argument("--concurrency", type=int, default=32, help="calls at a time")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", type=Path, help="folder of benchmarks.service.workspace that was made before")
    parser.add_argument("--write", type=Path, help="page that gets the tables")
    return parser.parse_args(arguments)


def started(name: str, models: Path, core: int, question: Question, stack: ExitStack) -> Target:
    port = free_port()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DENGE_")}
    command = [PYTHON, *COMMANDS[name].format(port=port, models=models).split()]
    running = stack.enter_context(Running(command, core, environment, ROOT))
    running.wait_until(lambda: name == "echo" or is_answered(port, question))
    return Target(name, port, running.cpu_seconds)


def measure(target: Target, asked: list[Question], options: argparse.Namespace) -> Row:
    seen = load(target.port, asked, target.cpu_seconds, concurrency=options.concurrency, seconds=options.seconds)
    cuts = quantiles(seen.milliseconds, n=100)
    return Row(len(seen.milliseconds) / seen.seconds, cuts[49], cuts[98], seen.cpu_s_per_1000)


def tables(found: dict[tuple[str, str], list[Row]], options: argparse.Namespace) -> Iterator[str]:
    yield ABOUT
    for case in options.case:
        yield f"\n**{CASES[case].title}** (`{case}`), {options.concurrency} calls at a time\n"
        yield "| server | req/s | p50 ms | p99 ms | CPU s / 1,000 |"
        yield "|---|---:|---:|---:|---:|"
        for (name, of), rows in found.items():
            if of == case:
                columns = [median(values) for values in zip(*map(vars_of, rows), strict=True)]
                yield f"| {name} | {columns[0]:,.0f} | {columns[1]:.2f} | {columns[2]:.2f} | {columns[3]:.3f} |"


def vars_of(row: Row) -> tuple[float, ...]:
    return row.requests_per_s, row.p50_ms, row.p99_ms, row.cpu_s_per_1000


def cpu_seconds_below(process: int) -> float:
    """Of a process and everything that it started."""
    return cpu_seconds(tree(process))


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    models = options.models or models_folder()
    print(models, file=sys.stderr)
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    asked = {case: questions(CASES[case], models) for case in options.case}
    found: dict[tuple[str, str], list[Row]] = {}
    with ExitStack() as stack:
        first = asked[options.case[0]][0]
        targets = [started(name, models, cores[0], first, stack) for name in options.server]
        for name, process, port in options.peer:
            targets.append(Target(name, int(port), partial(cpu_seconds_below, int(process))))
        for _ in range(options.rounds):
            for case in options.case:
                for target in targets:
                    if target.name != "echo" and not all(is_answered(target.port, one) for one in asked[case]):
                        print(f"{target.name} gives a wrong answer to {case}: left out", file=sys.stderr)
                        continue
                    row = measure(target, asked[case], options)
                    print(target.name, case, row, file=sys.stderr, flush=True)
                    found.setdefault((target.name, case), []).append(row)
    text = "\n".join(tables(found, options))
    print(text)
    if options.write:
        write_between(options.write, "grpc", text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
