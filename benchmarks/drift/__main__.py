"""What drift alarms find, how often they are false, and what they cost; docs/drift.md has figures.

    python -m benchmarks.drift false_alarms --data-dir data/mnist --write docs/drift.md
    python -m benchmarks.drift detection    --data-dir data/mnist --write docs/drift.md
    python -m benchmarks.drift cost
    python -m benchmarks.drift peers        --data-dir data/mnist --peer-python venv/bin/python

All run on the starter models, `cost` on a ResNet-18 of 224 x 224 as well; with `--model resnet --resnet REPOSITORY`, on
the network that `benchmarks.signs` says how to train. Results are kept as data in
benchmarks/results/drift_<measurement>.json; `--show` makes the tables of these without measuring. `peers` needs an
interpreter that has alibi-detect and torch.
"""

import argparse
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks.drift import cost, detection, false_alarms, peers
from benchmarks.drift.rows import Model, TestImages
from benchmarks.mnist_models import MODELS, STARTERS, add_options, read_model
from benchmarks.pages import write_between

RESULTS = Path(__file__).parent.parent / "results"
ORDER = (*MODELS, cost.RESNET18)
TABLES = {
    "false_alarms": {"drift_false_alarms": false_alarms.table},
    "detection": {"drift_detection": detection.table, "drift_classes": detection.classes_table},
    "cost": {"drift_cost": cost.table},
    "peers": {"drift_peers": peers.table},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("measurement", choices=TABLES)
    add_options(parser, use="the only one that is measured again")
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter that has alibi-detect")
    parser.add_argument("--show", action="store_true", help="measure nothing, show what is kept")
    parser.add_argument("--write", type=Path, help="page to put the tables into")
    arguments = parser.parse_args()
    kept = RESULTS / f"drift_{arguments.measurement}.json"
    if not arguments.show:
        names = STARTERS if arguments.model is None else (arguments.model,)
        bundles = [read_model(name, arguments.resnet) for name in names]
        models = [Model.of(bundle) for bundle in bundles]
        match arguments.measurement:
            case "false_alarms":
                measured = false_alarms.measure(TestImages(arguments.data_dir), models)
            case "detection":
                measured = detection.measure(TestImages(arguments.data_dir), models)
            case "cost":
                measured = cost.measure([*bundles, cost.resnet18()] if arguments.model is None else bundles)
            case "peers":
                measured = peers.measure(TestImages(arguments.data_dir), models, arguments.peer_python)
        known = json.loads(kept.read_text())["measured"] if kept.is_file() else []
        again = {line["model"] for line in measured}
        found = sorted(
            [*measured, *(line for line in known if line["model"] not in again)],
            key=lambda line: ORDER.index(line["model"]),
        )
        about = {
            "command": f"python -m benchmarks.drift {arguments.measurement}",
            "python": platform.python_version(),
            "onnxruntime": version("onnxruntime"),
            "numpy": version("numpy"),
            "measured": found,
        }
        kept.write_text(json.dumps(about, indent=1) + "\n")
    found = json.loads(kept.read_text())["measured"]
    for name, table in TABLES[arguments.measurement].items():
        text = table(found)
        print(text, end="\n\n")
        if arguments.write:
            write_between(arguments.write, name, text)


if __name__ == "__main__":
    main()
