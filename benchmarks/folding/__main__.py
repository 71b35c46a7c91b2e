"""Imports networks of timm that nobody here wrote, and compares their bundles with torch in float64.

    PYTHONPATH=<folder with timm> python -m benchmarks.folding                     run what has no result yet
    PYTHONPATH=<folder with timm> python -m benchmarks.folding resnet18 levit_128s run these again
    python -m benchmarks.folding --write docs/folding.md                           and write the tables

Every network has random scales, shifts and statistics, and is exported by both exporters of torch, with BN preserved
and with the exporter's defaults. Each step runs in a process of its own, with one thread and limited memory. timm needs
`pip install --no-deps timm huggingface_hub`; a stand-in takes the place of torchvision. Results are kept in
benchmarks/results/folding.jsonl.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.folding.report import tables
from benchmarks.pages import write_between

RESULTS = Path(__file__).parent.parent / "results" / "folding.jsonl"
MEMORY = 12 << 30
SECONDS = 900


def run(module: str, *arguments: str) -> str:
    """The output of a module that runs in a process of its own.

    Raises:
        RuntimeError: it fails or takes too long.
    """
    command = [sys.executable, "-m", f"benchmarks.folding.{module}", *arguments]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"took more than {SECONDS} s") from error
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return done.stdout.splitlines()[-1] if done.stdout.strip() else ""


def measured(name: str, exporter: str, folder: Path) -> dict[str, Any]:
    """The result of one network and exporter, whose graphs are in the folder or written to it."""
    facts = folder / f"{exporter}.json"
    if not facts.exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            run("export", name, exporter, str(folder))
        except RuntimeError as error:
            return {"export_failed": str(error)}
    graphs = {}
    for path in sorted(folder.glob(f"{exporter}*.onnx")):
        try:
            graphs[path.stem] = json.loads(run("measure", str(folder), path.stem))
        except RuntimeError as error:
            graphs[path.stem] = {"failed": str(error)}
    return {**json.loads(facts.read_text()), "graphs": graphs}


def known(path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The results so far, by network and exporter."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {(result["network"], result["exporter"]): result for result in map(json.loads, lines)}


def save(path: Path, results: dict[tuple[str, str], dict[str, Any]]) -> None:
    """Write the results, one network and exporter a line."""
    path.write_text("".join(json.dumps(results[key]) + "\n" for key in sorted(results)), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", help="networks to run; all that have no result by default")
    parser.add_argument("--exporters", nargs="+", default=("legacy", "dynamo"), choices=("legacy", "dynamo"))
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of the results")
    parser.add_argument("--exports", type=Path, help="folder where the exported graphs are kept for the next run")
    parser.add_argument("--write", type=Path, help="page with the two marker comments; nothing is run")
    arguments = parser.parse_args()
    if arguments.write:
        write_between(arguments.write, "folding", tables(known(arguments.results).values()))
        return
    from benchmarks.folding.networks import SIZES  # noqa: PLC0415 - torch, which the tables need not

    todo = [
        (name, exporter)
        for exporter in arguments.exporters
        for name in arguments.networks or SIZES
        if arguments.networks or (name, exporter) not in known(arguments.results)
    ]
    with tempfile.TemporaryDirectory() as temporary:
        for name, exporter in todo:
            folder = (arguments.exports or Path(temporary)) / name
            result = {"network": name, "exporter": exporter, **measured(name, exporter, folder)}
            save(arguments.results, {**known(arguments.results), (name, exporter): result})
            print(json.dumps(result)[:300], flush=True)
            if not arguments.exports:
                shutil.rmtree(folder)


if __name__ == "__main__":
    main()
