"""Does a GPU serve what the CPU serves, how soon, and how much faster?

    python -m benchmarks.cuda                              the starter models
    python -m benchmarks.cuda repository/resnet/1 ...      bundles, by their folders
    python -m benchmarks.cuda --provider cpu               the same steps where there is no GPU, to see that they work

For each model: which provider each node runs on, the largest difference from the CPU, how long the first run of every
batch size takes with and without warmed buckets, and rows a second of both. Exits with 1 where CUDA does not run the
model or differs by more than the tolerance, and with 3 where it does not work at all.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import numpy as np
import onnxruntime

from models import starter
from models.datatypes import Arrays
from models.errors import ProviderUnavailable
from models.graph.load import parse, serialize
from models.repository import bundle
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from models.rows import random_rows
from models.runtime.engine import Engine, buckets
from models.runtime.providers import pinned_memory

TOLERANCE = 1e-4
"""Of the largest difference, relative to the largest value of the output: ten times that of publishing, since the order
of the additions differs. FP16 and BF16 need more."""

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
    if chosen.provider == "cuda":
        print(f"host memory for transfers: {'pageable' if pinned_memory() is None else 'pinned'}")
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
    provider, most = chosen.provider, chosen.max_batch_rows
    manifest = model.manifest
    print(f"\n{manifest.model}")
    cpu = Engine(model.folded, manifest.inputs)
    start = perf_counter()
    sizes = buckets(most) if manifest.is_batchable else ()
    engine = Engine(model.folded, manifest.inputs, provider, buckets=sizes)
    print(f"  loaded and warmed up in {perf_counter() - start:.2f} s, sizes {', '.join(map(str, sizes))}")

    runs_on = nodes_by_provider(model, engine.provider)
    print("  nodes: " + ", ".join(f"{count} by {name}" for name, count in sorted(runs_on.items())))
    difference = max(
        largest_difference(cpu, engine, random_rows(manifest.inputs, count, seed=count))
        for count in (1, 3, most, most + 1)
    )
    print(f"  largest difference from the CPU: {difference:.1e} (at most {chosen.tolerance:.0e})")

    cold = Engine(model.folded, manifest.inputs, provider)
    odd = [count for count in range(3, most + 1) if count not in sizes][:: max(1, most // 8)]
    print("  rows    first run, ms: warmed  not warmed")
    for count in odd:
        inputs = random_rows(manifest.inputs, count, seed=count)
        print(f"  {count:>4} {milliseconds(engine, inputs):>22.2f} {milliseconds(cold, inputs):>11.2f}")

    print(f"  rows    rows/s: {'cpu':>14} {provider:>14}   ratio")
    for count in sizes:
        inputs = random_rows(manifest.inputs, count, seed=count)
        here, there = (count * runs_per_second(each, inputs, chosen.seconds) for each in (cpu, engine))
        print(f"  {count:>4} {here:>22.0f} {there:>14.0f} {there / here:>7.2f}")
    return runs_on[engine.provider] > 0 and difference <= chosen.tolerance


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


def milliseconds(engine: Engine, inputs: Arrays) -> float:
    start = perf_counter()
    engine.run(inputs)
    return 1e3 * (perf_counter() - start)


def runs_per_second(engine: Engine, inputs: Arrays, seconds: float) -> float:
    engine.run(inputs)
    runs = 0
    start = perf_counter()
    while (passed := perf_counter() - start) < seconds:
        engine.run(inputs)
        runs += 1
    return runs / passed


if __name__ == "__main__":
    sys.exit(main())
