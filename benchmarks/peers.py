"""Denge beside other inference servers, in a harness that knows how each of them is started and asked.

    python -m benchmarks.peers HARNESS --rounds 3 --out benchmarks/results/peers.jsonl
    python -m benchmarks.peers HARNESS --server denge pytriton --case mlp1_json --conc 32 --out /tmp/look.jsonl
    python -m benchmarks.peers HARNESS --write docs/benchmarks.md --out benchmarks/results/peers.jsonl

HARNESS is the folder of the harness (servers.py, cases.py, bench.py, and one virtual environment a peer under venvs/).
The networks are those of `benchmarks.service`: its ONNX files are copied over the harness's own, so that all servers
run the same. Further options are the harness's: `--case`, `--conc`, `--seconds`.
"""

import argparse
import importlib
import json
import shutil
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.pages import write_between
from benchmarks.service.cases import ROW_SHAPES
from benchmarks.service.session import open_session
from benchmarks.service.workspace import ROOT, models_folder
from models.repository.repository import Repository

PEERS = ("pytriton", "kserve", "mlserver", "bentoml", "litserve", "rayserve_haproxy", "torchserve", "fastapi_naive")
LIMITS = ("uvicorn_ort", "uvicorn_simd")
MODELS = {"mlp": "mlp", "resnet": "resnet18"}
"""The harness's names, and ours."""

ROWS = 64


def prepare(harness: Path) -> Path:
    """Give the harness our networks and what they answer. Returns the repository that Denge serves."""
    made = models_folder()
    (harness / "models").mkdir(exist_ok=True)
    repository = harness / "models" / "repository"
    shutil.rmtree(repository, ignore_errors=True)
    generator = np.random.default_rng(0)
    reference = {}
    for name, ours in MODELS.items():
        shutil.copyfile(made / f"{ours}.onnx", harness / "models" / f"{name}.onnx")
        rows = generator.random((ROWS, *ROW_SHAPES[ours]), dtype=np.float32)
        reference[f"{name}_x"] = rows
        reference[f"{name}_y"] = open_session(made / f"{ours}.onnx").run(None, {"input": rows})[0]
        bundle = Repository(made / "repository").read(ours, 1)
        manifest = bundle.manifest.model_copy(update={"model": name})
        Repository(repository).publish(replace(bundle, manifest=manifest))
    np.savez(harness / "models" / "reference.npz", allow_pickle=False, **reference)
    return repository


def add_denge(harness: Path, repository: Path) -> None:
    """Enter Denge into the harness's list of servers."""
    sys.path.insert(0, str(harness))
    servers = importlib.import_module("servers")
    command = (
        f"{sys.executable} -m service --host {{host}} --port {{port}} --repository {repository} --no-starters "
        "--threads {threads}"
    )
    # The harness sets PYTHONPATH to its own folder; a server's own environment comes after that.
    servers.SERVERS["denge"] = servers.Server(
        "base", command, servers.V2, "v2json", "v2bin", env={"PYTHONPATH": str(ROOT)}, batching="what waits, 32 rows"
    )


def tables(file: Path) -> str:
    """Markdown: CPU seconds per 1,000 requests at concurrency 32, and what a process takes. Medians over the rounds."""
    figures: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    processes: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    failures: defaultdict[str, int] = defaultdict(int)
    for line in file.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        server = record["server"]
        if "failed" in record:
            failures[server] += 1
        elif "case" not in record:
            processes[server].append((record["cold_start_s"], record["rss_mib"]))
            failures[server] += record["errors"]
        elif record["conc"] == 32:
            figures[server, record["case"]].append(record["cpu_s_per_1k"])
            failures[server] += record["wrong"]
    cases = sorted({case for _, case in figures})
    names = {server for server, _ in figures}
    head = ["server", *cases, "cold start, s", "RSS, MiB", "errors and wrong answers"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for server in sorted(names, key=lambda name: median(figures[name, cases[0]] or [np.inf])):
        cells = []
        for case in cases:
            own, denge = figures[server, case], figures["denge", case]
            relation = f" ({median(own) / median(denge):.2f})" if own and denge and server != "denge" else ""
            cells.append(f"{median(own):.3f}{relation}" if own else "-")
        starts, rss = zip(*processes[server], strict=True) if processes[server] else ((np.nan,), (np.nan,))
        cells += [f"{median(starts):.1f}", f"{median(rss):.0f}", str(failures[server])]
        lines.append(f"| {server} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("harness", type=Path)
    parser.add_argument("--server", nargs="+", default=["denge", *LIMITS, *PEERS])
    parser.add_argument("--out", type=Path, required=True, help="file for the measurements, as JSON lines")
    parser.add_argument("--write", type=Path, help="measure nothing: write the table of --out into this page")
    options, others = parser.parse_known_args(arguments)
    if options.write:
        write_between(options.write, "peers", tables(options.out))
        return 0
    harness = options.harness.resolve()
    add_denge(harness, prepare(harness))
    options.out.unlink(missing_ok=True)
    sys.argv = ["bench.py", "--pin", "--server", *options.server, "--out", str(options.out.resolve()), *others]
    try:
        importlib.import_module("bench").main()
    finally:
        if options.out.exists():
            print(tables(options.out))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
