"""What re-calibration regains, what it refuses, and how long it takes: the figures of docs/recalibration.md.

    python -m benchmarks.recalibration --data-dir data/mnist --write docs/recalibration.md

Runs on the starter models with Denge's defaults. The 10,000 test images of MNIST, without those that the bundles keep
as reference, are parted into rows to estimate from and 2,000 rows to measure on. torch's AdaBN (no prior, 2,000 rows,
layer after layer) says how much there is to regain. Results are kept as data in benchmarks/results/recalibration.json.
"""

import argparse
import json
import platform
from pathlib import Path

import torch

from benchmarks.pages import write_between
from benchmarks.recalibration.data import Data
from benchmarks.recalibration.measurements import measured
from benchmarks.recalibration.network import Model
from benchmarks.recalibration.tables import MODELS, tables
from benchmarks.recalibration.timing import timed
from models.runtime.providers import runtime_version

RESULTS = Path(__file__).parent.parent / "results" / "recalibration.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, default=Path("data/mnist"))
    parser.add_argument("--write", type=Path, help="a page with the comments of the table")
    parser.add_argument(
        "--parts", nargs="*", choices=[*MODELS, "seconds"], default=[*MODELS, "seconds"], help="to measure anew"
    )
    options = parser.parse_args()

    torch.set_num_threads(1)
    if options.parts:
        data = Data(options.data_dir)
    for name in options.parts:
        found = timed(Model("convnet"), data) if name == "seconds" else measured(Model(name), data)
        results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
        results |= {
            "command": "python -m benchmarks.recalibration",
            "python": platform.python_version(),
            "torch": torch.__version__,
            "onnxruntime": runtime_version(),
            name: found,
        }
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if options.write:
        write_between(options.write, "recalibration", tables(json.loads(RESULTS.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
