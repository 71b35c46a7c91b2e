"""How many images a service on a GPU answers over HTTP, beside the least that Python does there.

    python -m benchmarks.service.networks FOLDER            the models: FOLDER/repository and FOLDER/<model>.onnx
    python -m benchmarks.cuda_over_http FOLDER --model resnet18
    python -m benchmarks.cuda_over_http FOLDER --provider cpu --seconds 1    the same steps where there is no GPU

One image in binary a request. `bare` has uvicorn and onnxruntime with the same provider, one route, no checks. A server
has the first half of the processors, wrk the second half. Needs wrk. Exits with 1 where an answer was wrong or failed.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from benchmarks.service import wire
from benchmarks.service.cases import QUESTIONS, Question
from benchmarks.service.checker import Findings, Sampler, check, problem
from benchmarks.service.load import load
from benchmarks.service.process import Running, free_port
from benchmarks.service.servers import SERVERS, Server
from benchmarks.service.session import open_session
from benchmarks.service.workspace import ROOT

SHARE = {"float32": 1e-4, "tf32": 1e-2, "float16": 1e-2}
"""How far an answer may be from the CPU's, relative to the largest logit."""

COLUMNS = ("connections", "images/s", "p50, ms", "p99, ms", "CPU s / 1,000", "loaded in, s", "MiB", "wrong")

WARM_UP_SECONDS = 3


@dataclass(frozen=True)
class Choice:
    """A server, what it computes with, and where it runs."""

    name: str
    precision: str
    server: Server
    cores: str


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--provider", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--model", nargs="+", default=["resnet18"])
    parser.add_argument("--concurrency", nargs="+", type=int, default=[1, 32])
    parser.add_argument("--seconds", type=int, default=5)
    chosen = parser.parse_args()

    cores = sorted(os.sched_getaffinity(0))
    half = max(1, len(cores) // 2)
    servers, client = (",".join(map(str, some)) for some in (cores[:half], cores[half:]))
    print(f"onnxruntime {onnxruntime.__version__}, {half} cores each for the server and for the load")
    print(
        "| model | server | connections | images/s | p50, ms | p99, ms | CPU s / 1,000 | loaded in, s | MiB | wrong |"
    )
    print("| --- | --- |" + " ---: |" * 8)
    wrong = 0
    for model in chosen.model:
        for choice in choices(chosen.provider, servers):
            for line, failed in measure(choice, model, chosen, client):
                print(line, flush=True)
                wrong += failed
    return 1 if wrong else 0


def choices(provider: str, cores: str) -> Iterator[Choice]:
    yield Choice("bare", "float32", SERVERS["bare"], cores)
    for precision in list(SHARE)[: None if provider == "cuda" else 1]:
        options = ("--provider", provider, "--precision", precision)
        command = (*without_threads(SERVERS["denge"].command), *options)
        yield Choice("Denge", precision, Server(command, SERVERS["denge"].about), cores)


def without_threads(command: tuple[str, ...]) -> tuple[str, ...]:
    """The command without the option of the CPU's benchmark, one thread."""
    at = command.index("--threads")
    return command[:at] + command[at + 2 :]


def measure(choice: Choice, model: str, chosen: argparse.Namespace, client: str) -> Iterator[tuple[str, int]]:
    """A row of the table and the number of wrong answers, for each number of connections."""
    asked = questions(chosen.folder / f"{model}.onnx", model, SHARE[choice.precision])
    with ExitStack() as stack:
        port = free_port()
        environment = {key: value for key, value in os.environ.items() if not key.startswith("DENGE_")}
        environment |= {"MODELS_FOLDER": str(chosen.folder), "MODELS_PROVIDER": chosen.provider}
        command = choice.server.start_command(port, chosen.folder)
        running = stack.enter_context(Running(command, choice.cores, environment, ROOT))
        loaded = running.wait_until(lambda: problem(port, asked[0], computes=True) is None)
        for concurrency in chosen.concurrency:
            # What is made once is no part of a load: layers are first observed after the first answers, for example.
            load(port, asked, concurrency=concurrency, seconds=WARM_UP_SECONDS, core=client)
            running.wait_until_idle()
            running.wait_until_alone()
            findings = Findings()
            cpu = running.cpu_seconds()
            with Sampler(port, asked, computes=True) as sampler:
                seen = load(port, asked, concurrency=concurrency, seconds=chosen.seconds, core=client)
                cpu = running.cpu_seconds() - cpu
            for question in asked:
                check(findings, port, question, computes=True)
            wrong = [*findings.wrong, *sampler.findings.wrong]
            failed = len(wrong) + sum(seen.errors.values())
            if wrong:
                print(wrong[0], file=sys.stderr)
            figures = (
                f"{concurrency}",
                f"{seen.requests / seen.seconds:,.0f}",
                f"{seen.p50_ms:.2f}",
                f"{seen.p99_ms:.2f}",
                f"{1e3 * cpu / max(1, seen.requests):.3f}",
                f"{loaded:.1f}",
                f"{running.rss_mib():.0f}",
                f"{failed}",
            )
            yield f"| {model} | {choice.name}, {choice.precision} | {' | '.join(figures)} |", failed


def questions(graph: Path, model: str, share: float) -> list[Question]:
    """Images of random numbers, with the answers of the CPU.

    Args:
        graph: with the one input `input` and the output `logits`, as `benchmarks.service.networks` writes it.
        model: its name.
        share: of the largest logit, by which an answer may differ.
    """
    session = open_session(graph, "cpu")
    shape = session.get_inputs()[0].shape[1:]
    generator = np.random.default_rng(0)
    made = []
    for _ in range(QUESTIONS):
        rows = generator.random((1, *shape), dtype=np.float32)
        expected = session.run(["logits"], {"input": rows})[0]
        tolerance = share * float(np.abs(expected).max())
        made.append(Question(f"/v2/models/{model}/infer", *wire.write_binary(rows), expected, tolerance))
    return made


if __name__ == "__main__":
    sys.exit(main())
