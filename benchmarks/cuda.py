"""Does a GPU serve what the CPU serves, how soon, and how much faster?

    python -m benchmarks.cuda                              the starter models
    python -m benchmarks.cuda repository/resnet/1 ...      bundles, by their folders
    python -m benchmarks.cuda --provider cpu               the same steps where there is no GPU, to see that they work

For each model: which provider each node runs on; then, for every precision, the largest difference from the CPU, and
rows a second for every size of a batch, when the size stays and when it changes from run to run. `plain` is a session
of onnxruntime with the same options and io binding, without captured runs. Exits with 1 where CUDA does not run the
model or differs in float32 by more than the tolerance, and with 3 where it does not work at all.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
import onnxruntime

from models import starter
from models.datatypes import Arrays
from models.errors import ProviderUnavailable
from models.graph.load import parse, serialize
from models.manifest import Manifest
from models.repository import bundle
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from models.rows import random_rows
from models.runtime.engine import Engine
from models.runtime.float16 import to_float16
from models.runtime.providers import NAMES, Precision
from models.runtime.run_sizes import buckets

TOLERANCE = 1e-4
"""Of the largest difference in float32, relative to the largest value of the output: ten times that of publishing,
since the order of the additions differs."""

SECONDS = 1.0
"""That each rate is measured for."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="*", type=Path)
    parser.add_argument("--provider", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--max-batch-rows", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--tolerance", type=float, default=TOLERANCE)
    chosen = parser.parse_args()

    print(f"onnxruntime {onnxruntime.__version__}, providers {', '.join(onnxruntime.get_available_providers())}")
    try:
        passed = [examine(each, chosen) for each in models(chosen.bundles)]
    except ProviderUnavailable as error:
        print(error, file=sys.stderr)
        return 3
    return 0 if all(passed) else 1


def models(folders: list[Path]) -> Iterator[Bundle]:
    if folders:
        yield from map(bundle.read, folders)
        return
    with tempfile.TemporaryDirectory() as folder:
        repository = Repository(Path(folder))
        for name in starter.seed(repository):
            yield repository.read(name, 1)


def examine(model: Bundle, chosen: argparse.Namespace) -> bool:
    """Print everything about one model, and return whether it is right."""
    manifest = model.manifest
    sizes = buckets(chosen.max_batch_rows) if manifest.is_batchable else (1,)
    runs_on = nodes_by_provider(model, NAMES[chosen.provider])
    print(f"\n{manifest.model}: nodes: {', '.join(f'{count} by {name}' for name, count in sorted(runs_on.items()))}")
    print("|  | difference | loaded in | " + " | ".join(f"{rows} rows/s" for rows in sizes) + " | sizes in turn, ms |")
    print("| --- " * (len(sizes) + 4) + "|")
    cpu = Engine(model.folded, manifest.inputs)
    report("cpu, one thread", cpu, cpu, 0.0, sizes, manifest, chosen)
    passed = runs_on[NAMES[chosen.provider]] > 0
    precisions: tuple[Precision, ...] = ("float32", "tf32", "float16")
    for precision in precisions[: None if chosen.provider == "cuda" else 1]:
        graph = to_float16(model.folded) if precision == "float16" else model.folded
        for name, captured in (("plain", ()), (chosen.provider, sizes)):
            start = perf_counter()
            engine = Engine(graph, manifest.inputs, chosen.provider, buckets=captured, precision=precision)
            seconds = perf_counter() - start
            difference = report(f"{name}, {precision}", engine, cpu, seconds, sizes, manifest, chosen)
            passed &= precision != "float32" or difference <= chosen.tolerance
    return passed


def report(
    title: str,
    engine: Engine,
    cpu: Engine,
    seconds: float,
    sizes: Sequence[int],
    manifest: Manifest,
    chosen: argparse.Namespace,
) -> float:
    """Print the row of one engine, and return its largest difference from the CPU."""
    inputs = {rows: random_rows(manifest.inputs, rows, seed=rows) for rows in (*sizes, sizes[-1] + 1)}
    difference = max(largest_difference(cpu, engine, rows) for rows in inputs.values())
    rates = [rows * runs_per_second(engine, [inputs[rows]], chosen.seconds) for rows in sizes]
    in_turn = 1e3 / runs_per_second(engine, [inputs[rows] for rows in sizes], chosen.seconds)
    print(
        f"| {title} | {difference:.1e} | {seconds:.2f} s | "
        + " | ".join(f"{rate:,.0f}" for rate in rates)
        + f" | {in_turn:.2f} |",
        flush=True,
    )
    return difference


def largest_difference(reference: Engine, candidate: Engine, inputs: Arrays) -> float:
    """Relative to the largest value of each output; text counts as 0 or 1."""
    largest = 0.0
    got = candidate.run(inputs)
    for name, values in reference.run(inputs).items():
        if values.dtype.kind == "O":
            largest = max(largest, float(not np.array_equal(values, got[name])))
            continue
        expected = values.astype(np.float64)
        scale = np.abs(expected).max(initial=np.finfo(np.float32).tiny)
        largest = max(largest, float(np.abs(got[name].astype(np.float64) - expected).max(initial=0.0) / scale))
    return largest


def nodes_by_provider(model: Bundle, provider: str) -> Counter[str]:
    """How many nodes of the graph, as onnxruntime has rewritten it, each provider runs, by its own profile of a run."""
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(serialize(parse(model.folded)), options, providers=[provider])
        if not any(spec.datatype == "BF16" for spec in (*model.manifest.inputs, *model.manifest.outputs)):
            session.run(None, random_rows(model.manifest.inputs, 1, seed=1))
        events = json.loads(Path(session.end_profiling()).read_text())
    nodes = {(event["args"]["provider"], event["name"]) for event in events if event.get("args", {}).get("provider")}
    return Counter(name for name, _ in nodes)


def runs_per_second(engine: Engine, inputs: Sequence[Arrays], seconds: float) -> float:
    """Of runs on these inputs in turn."""
    for each in (*inputs, *inputs):
        engine.run(each)
    runs = 0
    start = perf_counter()
    while (passed := perf_counter() - start) < seconds:
        for each in inputs:
            engine.run(each)
        runs += len(inputs)
    return runs / passed


if __name__ == "__main__":
    sys.exit(main())
