"""What raises an alarm: windows that cost accuracy, windows that cost none, undisturbed rows in the order of writers.

    python -m benchmarks.alarms --data-dir data/mnist --model mlp --set unseen [--resnet REPOSITORY]
    python -m benchmarks.alarms --write docs

Windows of MNIST's test images that neither set the starters' thresholds nor are kept in their bundles, undisturbed and
corrupted, with the drift's verdict on each, the estimated accuracy (`models.accuracy`), and the accuracy that the
corruption really costs, on other images. `--set tuning` has the corruptions of `benchmarks.corruptions`, on which the
rule was chosen, `--set unseen` those that nothing was tuned on. Each window is a line of
benchmarks/results/alarms_<model>_<set>.jsonl; a condition that is there is not measured again.
"""

import argparse
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, spearmanr

from benchmarks import corruptions, unseen_corruptions
from benchmarks.bundles import held_out_rows
from benchmarks.corruptions import Images
from benchmarks.drift.rows import Indices, Model, Rows, TestImages, significance, windows
from benchmarks.mnist_models import MODELS, add_options, read_model
from benchmarks.pages import write_between
from models.accuracy.agreement import NO_ROWS, Agreement
from models.accuracy.agreement_estimator import AgreementEstimator
from models.classification import probabilities
from models.drift.detector import Detector
from models.graph.load import parse
from models.recalibration.accuracy import AccuracyEstimator
from models.recalibration.adaptation import AdaptiveNetwork
from models.repository import held_out
from models.runtime.load import load

RESULTS = Path(__file__).parent / "results"
SETS: dict[str, list[tuple[Callable[[Images, str, int, int], Images], str, int]]] = {
    "tuning": [(corruptions.corrupt, *key) for key in itertools.product(corruptions.CORRUPTIONS, (1, 2, 3, 5))],
    "unseen": [
        (unseen_corruptions.corrupt, *key)
        for key in itertools.product(unseen_corruptions.UNSEEN, unseen_corruptions.SEVERITIES)
    ],
}
SIZES = (64, 256)
WINDOWS, ORDERED, UNDISTURBED = 12, 60, 200
APART = ("undisturbed", "writers")
"""Conditions of which there are more windows: they have columns of their own."""
POOL, MEASURED = 1500, 1500
LARGE, SMALL = 0.03, 0.015


def calibrate(model: Model) -> tuple[AgreementEstimator, Callable[[Images], NDArray[np.float32]]]:
    """The estimator of a model's accuracy, and the scores of its twin for a block of images."""
    network = AdaptiveNetwork(parse(model.bundle.source))
    found = AccuracyEstimator.calibrate(model.manifest, network, held_out_rows(model.bundle), max_seconds=300)
    assert found is not None
    run = load(network.twin(), optimize=True)
    (spec,) = model.manifest.inputs
    return found.before, lambda rows: run({spec.name: rows.reshape(-1, *spec.shape[1:])})[
        model.manifest.outputs[0].name
    ]


def choose_images(images: TestImages) -> tuple[Indices, Indices, Indices]:
    """Indices of the images that the bundles do not keep, of those that windows are drawn from, and that measure."""
    kept = held_out.choose({"every": np.arange(len(images.images))})["every"]
    others = np.setdiff1d(images.others, kept)
    shuffled = np.random.default_rng(31).permutation(others)
    return others, shuffled[:POOL], shuffled[POOL : POOL + MEASURED]


def measure(model: Model, group: str, folder: Path) -> None:
    images = TestImages(folder)
    detector, (estimator, twin) = Detector(model.reference), calibrate(model)
    others, pool, measured = choose_images(images)
    path = RESULTS / f"alarms_{model.name}_{group}.jsonl"
    done = {json.loads(line)["condition"] for line in path.read_text().splitlines()} if path.is_file() else set()

    def judge(rows: Images, found: Rows, loss: float, condition: str) -> dict[str, Any]:
        moments, classes = found.window()
        assessment = detector.assess(moments, classes)
        agreement = NO_ROWS
        for start in range(0, len(rows), estimator.block_rows):
            block = slice(start, start + estimator.block_rows)
            parent, other = (
                probabilities(scores, model.manifest.scores) for scores in (found.logits[block], twin(rows[block]))
            )
            agreement += Agreement.of(parent, other, estimator.confident_at)
        accuracy = estimator.current(agreement, is_label_shift=assessment.is_explained_by_classes)
        assert accuracy is not None
        return {
            "condition": condition,
            "rows": len(rows),
            "loss": round(loss, 4),
            "significance": round(significance(assessment), 3),
            "by_size": assessment.alarm,
            "by_loss": assessment.with_accuracy(accuracy).alarm,
            "usual": estimator.scale,
            "estimate": [round(value, 4) for value in (accuracy.value, accuracy.low, accuracy.high)],
        }

    with path.open("a") as file:

        def write(lines: Iterator[dict[str, Any]]) -> None:
            file.write("".join(json.dumps(line) + "\n" for line in lines))
            file.flush()

        clean = np.mean(model.observe(images.images[measured]).predicted == images.labels[measured])
        for corrupt, kind, severity in [(lambda rows, *_: rows, "clean", 0), *SETS[group]]:
            condition = f"{kind} {severity}".removesuffix(" 0")
            if condition in done:
                continue
            moved = corrupt(images.images[pool], kind, severity, 41)
            right = model.observe(corrupt(images.images[measured], kind, severity, 42)).predicted
            loss = float(clean - np.mean(right == images.labels[measured]))
            found, random = model.observe(moved), np.random.default_rng([severity, len(kind)])
            write(
                judge(moved[chosen], found.take(chosen), loss, condition)
                for size in SIZES
                for chosen in windows(np.arange(POOL), size, WINDOWS, random)
            )
        found, in_order = model.observe(images.images[others]), images.images[others]
        if "undisturbed" not in done:
            random = np.random.default_rng(61)
            write(
                judge(in_order[chosen], found.take(chosen), 0.0, "undisturbed")
                for size in SIZES
                for chosen in windows(np.arange(len(others)), size, UNDISTURBED, random)
            )
        if "writers" not in done:
            starts = np.random.default_rng(51)
            write(
                judge(in_order[start : start + size], found.take(np.arange(start, start + size)), 0.0, "writers")
                for size in SIZES
                for start in starts.integers(len(others) - size, size=ORDERED)
            )


def _lines(name: str, group: str) -> list[dict[str, Any]]:
    path = RESULTS / f"alarms_{name}_{group}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


RULES: dict[str, Callable[[dict[str, Any]], bool]] = {
    "significant": lambda line: line["significance"] > 1,
    "significant and large, without an estimate": lambda line: line["by_size"],
    "significant, and 3 points or more are lost": lambda line: line["by_loss"],
    "significant, and the interval is below the usual accuracy": lambda line: (
        line["significance"] > 1 and line["estimate"][2] < line["usual"]
    ),
}
"""What an alarm may need; the third is what the service does."""


def _share(lines: list[dict[str, Any]], rule: Callable[[dict[str, Any]], bool]) -> str:
    """Share of windows with an alarm, with 1.96 standard errors over conditions, or the exact interval of one."""
    if not lines:
        return "-"
    by_condition: dict[str, list[bool]] = {}
    for line in lines:
        by_condition.setdefault(line["condition"], []).append(rule(line))
    shares = np.array([np.mean(flags) for flags in by_condition.values()])
    if len(shares) == 1:
        interval = binomtest(sum(map(rule, lines)), len(lines)).proportion_ci(method="exact")
        return f"{shares[0]:.1%} ({interval.low:.0%} to {interval.high:.0%})"
    return f"{shares.mean():.1%} ± {1.96 * shares.std(ddof=1) / np.sqrt(len(shares)):.1%}"


def table(group: str) -> str:
    parts = [
        "| | rows | an alarm is | loses 3 points or more | loses less than 1.5 | undisturbed | by writer |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, size, (title, rule) in itertools.product(MODELS, SIZES, RULES.items()):
        lines = [line for line in _lines(name, group) if line["rows"] == size]
        if not lines:
            continue
        moved = [line for line in lines if line["condition"] not in ("clean", *APART)]
        groups = (
            [line for line in moved if line["loss"] >= LARGE],
            [line for line in moved if line["loss"] < SMALL],
            *([line for line in lines if line["condition"] == condition] for condition in APART),
        )
        parts.append(f"| `{name}` | {size} | {title} | " + " | ".join(_share(found, rule) for found in groups) + " |")
    return "\n".join(parts)


def accuracy_table(group: str) -> str:
    parts = [
        "| | rows | mean error, points | rank correlation | covered | undisturbed: > 2 points low | by writer |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, size in itertools.product(MODELS, SIZES):
        lines = [line for line in _lines(name, group) if line["rows"] == size]
        moved = [line for line in lines if line["condition"] not in APART]
        if not moved:
            continue
        true = np.array([line["usual"] - line["loss"] for line in moved])
        found, low, high = np.array([line["estimate"] for line in moved]).T
        too_low = [
            _share([line for line in lines if line["condition"] == condition], _is_too_low) for condition in APART
        ]
        parts.append(
            f"| `{name}` | {size} | {100 * np.abs(found - true).mean():.1f} | {spearmanr(found, true)[0]:.2f} | "
            f"{np.mean((low <= true) & (true <= high)):.0%} | {' | '.join(too_low)} |"
        )
    return "\n".join(parts)


def _is_too_low(line: dict[str, Any]) -> bool:
    return bool(line["usual"] - line["estimate"][0] > 0.02)  # of undisturbed rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_options(parser, sets=SETS)
    parser.add_argument("--write", type=Path, help="folder of the pages whose tables are written")
    options = parser.parse_args()
    if options.model:
        measure(Model.of(read_model(options.model, options.resnet)), options.set, options.data_dir)
    print(table(options.set))
    if options.write:
        write_between(options.write / "drift.md", "drift_alarms", table("unseen"))
        write_between(options.write / "accuracy.md", "accuracy_windows", accuracy_table("unseen"))


if __name__ == "__main__":
    main()
