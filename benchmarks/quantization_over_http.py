"""How many requests a version in 8 bits answers over HTTP, beside its parent in float: a table of docs/quantization.md.

    denge quantize repository/resnet
    python -m benchmarks.quantization_over_http repository resnet --write docs/quantization.md

One service on one core, with its defaults and `--threads 1`, has both versions: the newest one and its parent. wrk, on
another core, sends held-out rows in binary over one connection, to one version after the other. Needs `wrk`.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.bundles import held_out_rows
from benchmarks.pages import write_between
from benchmarks.service.cases import Question
from benchmarks.service.checker import problem
from benchmarks.service.load import load
from benchmarks.service.process import Running, free_port
from benchmarks.service.wire import Floats, write_binary
from models.quantization.speed import BATCHES, processor
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from models.runtime.load import load as load_graph

QUESTIONS = 8


class ClassifiedRows(Question):
    """A request whose answer has to have the right classes: logits of trained networks are large, so is rounding."""

    def is_answered_by(self, answer: Floats) -> bool:
        return bool(np.array_equal(answer.argmax(axis=1), self.expected.argmax(axis=1)))


def questions(bundle: Bundle, version: int, rows: int) -> list[Question]:
    """Requests of so many rows each, to one version."""
    (spec,) = bundle.manifest.inputs
    run, output = load_graph(bundle.folded, optimize=True), bundle.manifest.outputs[0].name
    kept = held_out_rows(bundle)[spec.name]
    path = f"/v2/models/{bundle.manifest.model}/versions/{version}/infer"
    made: list[Question] = []
    for number in range(QUESTIONS):
        chosen = np.take(kept, np.arange(number * rows, (number + 1) * rows), axis=0, mode="wrap")
        made.append(ClassifiedRows(path, *write_binary(chosen), run({spec.name: chosen})[output]))
    return made


def pairs(repository: Path, name: str, rows: int, count: int, seconds: float) -> Iterator[tuple[float, float]]:
    """Requests a second of the parent and of the version in 8 bits, in turn."""
    stored = Repository(repository)
    newest = max(stored.versions(name))
    quantized = stored.read(name, newest)
    parent = quantized.manifest.lineage.parent
    if quantized.manifest.lineage.quantization is None or parent is None:
        raise SystemExit(f"version {newest} of {name} is not in 8 bits: denge quantize {repository / name}")
    asked = [questions(stored.read(name, parent.version), parent.version, rows), questions(quantized, newest, rows)]
    cores, port = sorted(os.sched_getaffinity(0)), free_port()
    with TemporaryDirectory() as state:
        command = [sys.executable, "-m", "service", "--port", str(port), "--repository", str(repository)]
        command += ["--no-starters", "--threads", "1", "--state-dir", state]
        with Running(command, cores[-1], os.environ, Path.cwd()) as service:
            service.wait_until(lambda: all(problem(port, one[0], computes=True) is None for one in asked))
            service.wait_until_alone()
            for pair in range(count):
                found = {}
                for which in (0, 1) if pair % 2 else (1, 0):
                    seen = load(port, asked[which], concurrency=1, seconds=seconds, core=cores[0])
                    if any(seen.errors.values()):
                        raise RuntimeError(f"requests were not answered: {seen.errors}")
                    found[which] = seen.requests / seen.seconds
                yield found[0], found[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repository", type=Path)
    parser.add_argument("name", nargs="+", help="models whose newest version is in 8 bits")
    parser.add_argument("--pairs", type=int, default=7, help="of loads, one of each version")
    parser.add_argument("--seconds", type=int, default=4, help="of a load")
    parser.add_argument("--write", type=Path, help="page with the two marker comments")
    options = parser.parse_args()
    lines = [
        "| model | rows a request | float, requests a second | 8 bits | times as many, median | quartiles |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name in options.name:
        for rows in BATCHES:
            found = list(pairs(options.repository, name, rows, options.pairs, options.seconds))
            before, after = (median(values) for values in zip(*found, strict=True))
            low, middle, high = quantiles([after / before for before, after in found], n=4)
            lines.append(f"| `{name}` | {rows} | {before:.1f} | {after:.1f} | {middle:.2f} | {low:.2f} to {high:.2f} |")
            print(lines[-1], flush=True)
    made = f"Made by `python -m benchmarks.quantization_over_http` on {datetime.now(UTC).date()}, on {processor()}."
    text = "\n".join([*lines, "", made])
    if options.write:
        write_between(options.write, "quantization_over_http", text)


if __name__ == "__main__":
    main()
