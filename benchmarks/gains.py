"""How well the gain of a re-calibration is estimated by the rows on which two versions differ, and what it decides.

    python -m benchmarks.gains --data-dir data/mnist --write docs/accuracy.md

The cases of `benchmarks.signs`, with the true gains that it has kept. A case is better where the new version passes the
gates and either the interval of its accuracy is above the parent's estimate, or the interval of its gain above 0.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import SETS, CaseModel, Data, cases
from benchmarks.mnist_models import STARTERS
from benchmarks.pages import write_between
from benchmarks.signs_results import RESULTS
from models import starter
from models.classification import probabilities
from models.manifest import AccuracyGain

GAIN = 0.01
USUAL = ("clean", "corruption")
"""Groups whose rows are all of one kind, so that their true gain is that of the rows."""


def measure(name: str, folder: Path, chosen: str) -> str:
    """A row of the table."""
    model, data = CaseModel(starter.read(name)), Data(folder, 1, SETS[chosen])
    kept = map(json.loads, (RESULTS / f"signs_{name}{SETS[chosen].suffix}.jsonl").read_text().splitlines())
    known = {line["name"]: line for line in kept}
    assert model.estimator is not None
    found = []
    for case in cases(data):
        rows = model.inputs(case.rows)
        before = probabilities(model.network.run(rows, 1.0).outputs[model.output], model.bundle.manifest.scores)
        gain = model.estimator.estimate_gain(before, model.network.run(rows))
        assert gain is not None
        found.append((known[case.name], gain))
    return _row(f"`{name}`, {chosen}, {SETS[chosen].rows} rows", found)


def _row(title: str, found: list[tuple[dict[str, Any], AccuracyGain]]) -> str:
    true = np.array([line["after"] - line["before"] for line, _ in found])
    usual = np.array([line["group"] in USUAL for line, _ in found])
    passed = np.array([not line["failed"] for line, _ in found])
    by_interval = np.array([line["estimates"][1][1] > line["estimates"][0][0] for line, _ in found])
    better = passed & (by_interval | np.array([gain.low > 0 for _, gain in found]))
    error = 100 * np.abs([gain.gain for _, gain in found] - true)[usual].mean()
    holds = np.array([gain.low <= value <= gain.high for (_, gain), value in zip(found, true, strict=True)])
    covered = 100 * holds[usual].mean()
    gaining = passed & (true > GAIN)
    return (
        f"| {title} | {error:.1f} | {covered:.0f}% | {gaining.sum()} | {(gaining & by_interval).sum()} | "
        f"{(gaining & better).sum()} | {(better & (true < 0)).sum()} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, default=Path("data/mnist"))
    parser.add_argument("--write", type=Path, help="page whose table is written")
    options = parser.parse_args()
    titles = (
        *("", "mean error, points", "interval covers", "pass the gates and gain > 1 point"),
        *("better by intervals of accuracies", "or by the gain", "better, and lose"),
    )
    lines = [f"| {' | '.join(titles)} |".replace("|  |", "| |"), "|---" * len(titles) + "|"]
    for name in STARTERS:
        for chosen in SETS:
            lines.append(measure(name, options.data_dir, chosen))
            print(lines[-1], flush=True)
    if options.write:
        write_between(options.write, "gains", "\n".join(lines))


if __name__ == "__main__":
    main()
