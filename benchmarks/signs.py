"""Which re-calibrations the gates let through, what the prior is worth, and how well accuracy is estimated.

    python -m benchmarks.signs --data-dir data/mnist --model mlp [--resnet REPOSITORY] [--set tuning]
    python -m benchmarks.signs --write docs

On corruptions that nothing was tuned on (`benchmarks.unseen_corruptions`), at two severities, on MNIST's test images
without those that the bundles keep: 64 rows of a pool are estimated from, accuracy is measured on others. `--set
tuning` has the corruptions of `benchmarks.corruptions` at four severities and other foreign rows: the bounds of the
gates are chosen on these. `--resnet` is a repository with a model "resnet" of `python -m training train --model resnet
--data mnist --epochs 1 --width 8 --batch-size 64`. Each condition's figures are kept in
benchmarks/results/signs_<model>.jsonl, or signs_<model>_tuning.jsonl; one that is there is not measured again, so a run
that was interrupted goes on.
"""

import argparse
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from benchmarks import foreign_rows, unseen_corruptions
from benchmarks.corruptions import CORRUPTIONS, Corruption, damage
from benchmarks.pages import write_between
from models import starter
from models.classification import probabilities
from models.graph.adapt import restate
from models.graph.load import parse, serialize
from models.recalibration.accuracy import AccuracyEstimator
from models.recalibration.adaptation import AdaptiveNetwork
from models.recalibration.evaluation import Estimation, evaluate
from models.repository import held_out
from models.repository.repository import Repository
from models.runtime.load import load
from training.data import mnist

RESULTS = Path(__file__).parent / "results"
MODELS = ("mlp", "convnet", "resnet")
ROWS = 64
POOL, MEASURED = 1000, {"mlp": 1000, "convnet": 500, "resnet": 500}
DRAWS = 2
GROUPS = (
    "corruption",
    "clean",
    "one or two classes",
    "long tail",
    "mixture",
    "foreign rows",
    "crafted rows",
    "gradual shift",
)
GRADUAL_STEPS = 6
PRIORS = {"8": 8.0, "AdaBN": 0.0}


@dataclass(frozen=True)
class CaseSet:
    """What the cases are made of.

    Attributes:
        corruptions: by name.
        severities: of these.
        gradual: corruptions that begin at nothing.
        foreign: images that are no digits, by name.
        priors: that are compared with the estimated one.
        suffix: of the file of results.
    """

    corruptions: dict[str, Corruption]
    severities: tuple[int, ...]
    gradual: tuple[str, ...]
    foreign: dict[str, Callable[[int, int], NDArray[np.float32]]]
    priors: dict[str, float] = field(default_factory=dict)
    suffix: str = ""


SETS = {
    "unseen": CaseSet(
        unseen_corruptions.UNSEEN,
        unseen_corruptions.SEVERITIES,
        ("shear", "translate", "stripe", "dotted line", "speckle", "vignette", "spatter", "thin"),
        {"letters": foreign_rows.letters, "clothes": foreign_rows.clothes},
        priors=PRIORS,
    ),
    "tuning": CaseSet(
        CORRUPTIONS,
        (1, 2, 3, 5),
        ("noise", "impulse", "brightness", "rotation", "occlusion", "fog"),
        {"small letters": foreign_rows.small_letters, "shapes": foreign_rows.shapes},
        suffix="_tuning",
    ),
}


@dataclass(frozen=True)
class Case:
    """Rows to estimate from, and rows to measure on.

    Attributes:
        group: one of `GROUPS`.
        measured: keys of the images to measure on.
    """

    name: str
    group: str
    rows: NDArray[np.float32]
    measured: tuple[str, ...]


class Data:
    """A pool to estimate from, and rows to measure on, clean and corrupted."""

    def __init__(self, folder: Path, measured: int, chosen: CaseSet = SETS["unseen"]) -> None:
        data = mnist.load(folder)
        images, labels = data.prepare(data.test_images), data.test_labels
        every = np.arange(len(images))
        kept = held_out.choose({"every": every})["every"]
        order = np.random.default_rng(1).permutation(np.setdiff1d(every, kept))
        pool, rest = order[:POOL], order[-measured:]
        self.pool, self.pool_labels = images[pool], labels[pool]
        self.clean, self.labels = images[rest], labels[rest]
        self.set = chosen
        self._corrupted: dict[tuple[str, int], NDArray[np.float32]] = {}

    def pool_of(self, key: str) -> NDArray[np.float32]:
        return self._corrupt(self.pool, key, 21)

    def measured_of(self, key: str) -> NDArray[np.float32]:
        return self._corrupt(self.clean, key, 22)

    def _corrupt(self, images: NDArray[np.float32], key: str, seed: int) -> NDArray[np.float32]:
        if key == "clean":
            return images
        if (key, seed) not in self._corrupted:
            name, _, severity = key.rpartition(" ")
            self._corrupted[key, seed] = damage(images, self.set.corruptions[name], int(severity), seed)
        return self._corrupted[key, seed]


def cases(data: Data) -> Iterator[Case]:
    keys = [f"{name} {severity}" for name, severity in itertools.product(data.set.corruptions, data.set.severities)]
    labels = data.pool_labels
    for key, draw in itertools.product(["clean", *keys], range(DRAWS)):
        chosen = np.random.default_rng([draw, len(key)]).choice(POOL, ROWS, replace=False)
        yield Case(f"{key} {draw}", "clean" if key == "clean" else "corruption", data.pool_of(key)[chosen], (key,))
    for draw in range(10):
        random = np.random.default_rng([draw, 9])
        for classes in ([draw], [draw, (draw + 3) % 10]):
            rows = np.flatnonzero(np.isin(labels, classes))
            yield Case(f"classes {classes}", "one or two classes", data.pool[random.choice(rows, ROWS)], ("clean",))
        weight = 0.5 ** random.permutation(10)[labels]
        chosen = random.choice(POOL, ROWS, replace=False, p=weight / weight.sum())
        yield Case(f"long tail {draw}", "long tail", data.pool[chosen], ("clean",))
        key = keys[(3 * draw + 1) % len(keys)]
        chosen = random.choice(POOL, ROWS, replace=False)
        mixed = data.pool[chosen].copy()
        mixed[::2] = data.pool_of(key)[chosen[::2]]
        yield Case(f"half clean, half {key}", "mixture", mixed, ("clean", key))
        for name, foreign in data.set.foreign.items():
            yield Case(f"{name} {draw}", "foreign rows", foreign(ROWS, draw), ("clean",))
        crafted = data.pool[chosen].copy()
        crafted[: ROWS * 3 // 10] = random.random((1, 1, 28, 28)) > 0.5
        yield Case(f"30 % crafted {draw}", "crafted rows", crafted, ("clean",))
    for name in data.set.gradual:
        chosen = np.random.default_rng([len(name), 8]).choice(POOL, ROWS, replace=False)
        rows = _gradual(data.pool[chosen], data.set.corruptions[name])
        yield Case(f"gradual {name}", "gradual shift", rows, ("clean", f"{name} {data.set.severities[-1]}"))


def _gradual(images: NDArray[np.float32], corruption: Corruption) -> NDArray[np.float32]:
    """Images in the order in which they are seen, from undisturbed ones to those of the strong severity."""
    steps = np.linspace(0, corruption.amounts[-1], GRADUAL_STEPS)
    parts = np.array_split(images, GRADUAL_STEPS)
    damaged = [
        damage(part, replace(corruption, amounts=(amount,)), 1, 23)
        for part, amount in zip(parts[1:], steps[1:], strict=True)
    ]
    return np.concatenate([parts[0], *damaged])


def measure(name: str, repository: Path, folder: Path, chosen: CaseSet) -> None:
    parent = Repository(repository).read(name, 1)
    (spec,) = parent.manifest.inputs
    output, shape = parent.manifest.outputs[0].name, (-1, *spec.shape[1:])
    source = parse(parent.source)
    network = AdaptiveNetwork(source)
    kept = held_out.unpack(parent.held_out, parent.manifest.inputs)
    estimator = AccuracyEstimator.calibrate(parent.manifest, network, kept, max_seconds=300)
    data = Data(folder, MEASURED[name], chosen)
    usual = probabilities(load(parent.folded, optimize=True)(kept)[output], parent.manifest.scores)
    path = RESULTS / f"signs_{name}{chosen.suffix}.jsonl"
    done = {json.loads(line)["name"] for line in path.read_text().splitlines()} if path.is_file() else set()

    def accuracy(run: Callable, keys: tuple[str, ...]) -> float:
        found = [
            np.mean(run({spec.name: data.measured_of(key).reshape(shape)})[output].argmax(1) == data.labels)
            for key in keys
        ]
        return float(np.mean(found))

    def with_statistics(statistics) -> bytes:
        return serialize(restate(source, statistics))

    with path.open("a") as file:
        for case in cases(data):
            if case.name in done:
                continue
            rows = {spec.name: case.rows.reshape(shape)}
            before, after = network.run(rows, 1.0), network.run(rows)
            candidate = replace(parent, folded=with_statistics(after.mixed))
            estimation = Estimation(rows, network, before, after, is_in_order=case.group == "gradual shift")
            found = evaluate(parent, candidate, estimation, estimator=estimator)
            confidence = probabilities(before.outputs[output], parent.manifest.scores).max(axis=1)
            line = {
                "name": case.name,
                "group": case.group,
                "before": accuracy(load(parent.folded, optimize=True), case.measured),
                "after": accuracy(load(candidate.folded, optimize=True), case.measured),
                "figures": {gate.name: gate.figure for gate in found.gates},
                "bounds": {gate.name: [gate.lower, gate.upper] for gate in found.gates},
                "failed": [gate.name for gate in found.gates if not gate.passed],
                "estimates": [[one.accuracy, one.low, one.high] for one in found.accuracy],
                "atc": float(np.mean(confidence >= np.quantile(usual.max(axis=1), 0.02))),
                "doc": float(1 - (usual.max(axis=1).mean() - confidence.mean())),
            }
            if case.group in ("corruption", "clean"):
                for title, prior in chosen.priors.items():
                    fixed = network.run(rows, prior / (prior + ROWS))
                    line[title] = accuracy(load(with_statistics(fixed.mixed), optimize=True), case.measured)
            file.write(json.dumps(line) + "\n")
            file.flush()


def _lines(name: str, suffix: str = "") -> list[dict]:
    path, other = RESULTS / f"signs_{name}{suffix}.jsonl", RESULTS / f"cbpe_{name}.json"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    cbpe = json.loads(other.read_text()) if other.is_file() else {}
    return [line | cbpe.get(line["name"], {}) for line in lines]


def _points(line: dict, key: str) -> float:
    """The gain over the parent, in points; whole rows, so that no rounding decides what is more than half a point."""
    return round(100 * (line[key] - line["before"]), 3)


def prior_table() -> str:
    parts = ["| | prior | corruptions, mean | clean | harmed > 0.5 point |", "|---|---|---|---|---|"]
    for name in MODELS:
        lines = _lines(name)
        shifted = [line for line in lines if line["group"] == "corruption"]
        clean = [line for line in lines if line["group"] == "clean"]
        for title, key in (
            ("none: the parent", "before"),
            *((title, title) for title in PRIORS),
            ("estimated", "after"),
        ):
            harmed = sum(_points(line, key) < -0.5 for line in shifted)
            parts.append(
                f"| `{name}` | {title} | {100 * np.mean([line[key] for line in shifted]):.1f} | "
                f"{100 * np.mean([line[key] for line in clean]):.2f} | {harmed} of {len(shifted)} |"
            )
    return "\n".join(parts)


def gate_table(suffix: str = "") -> str:
    parts = [
        "| | rows | cases | published | refused though it gains > 1 point | published though it harms > 0.5 | worst |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, group in itertools.product(MODELS, GROUPS):
        lines = [line for line in _lines(name, suffix) if line["group"] == group]
        if not lines:
            continue
        gains = np.array([_points(line, "after") for line in lines])
        passed = np.array([not line["failed"] for line in lines])
        worst = f"{gains[passed].min():+.1f}" if passed.any() else "-"
        # On rows that are not the model's, no gain is measured that could be missed.
        missed = f"{np.sum(~passed & (gains > 1))}" if group in ("corruption", "clean") else "-"
        parts.append(
            f"| `{name}` | {group} | {len(lines)} | {passed.sum()} | {missed} | {np.sum(passed & (gains < -0.5))} | "
            f"{worst} |"
        )
    return "\n".join(parts)


def accuracy_table() -> str:
    parts = [
        "| | estimate | mean error, points | rank correlation | interval covers | its width | clean: lowest |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in MODELS:
        lines = [line for line in _lines(name) if line["group"] in ("corruption", "clean")]
        clean = [line for line in lines if line["group"] == "clean"]

        def row(title: str, key: str, found: list, ends: list | None, at_clean: list, name=name, lines=lines) -> str:
            true = np.array([line[key] for line in lines])
            cover = width = "-"
            if ends is not None:
                low, high = np.array(ends).T
                cover = f"{np.mean((low <= true) & (true <= high)):.0%}"
                width = f"{100 * np.mean(high - low):.0f}"
            return (
                f"| `{name}` | {title} | {100 * np.abs(np.array(found) - true).mean():.1f} | "
                f"{spearmanr(found, true)[0]:.2f} | {cover} | {width} | {100 * min(at_clean):.1f} |"
            )

        for title, key, at in (("before", "before", 0), ("after re-calibration", "after", 1)):
            found = [line["estimates"][at] for line in lines]
            parts.append(
                row(title, key, [one[0] for one in found], [one[1:] for one in found],
                    [line["estimates"][at][0] for line in clean])
            )  # fmt: skip
        for title, key in (
            ("before, ATC", "atc"),
            ("before, DoC", "doc"),
            ("before, CBPE", "cbpe"),
            ("before, CBPE of NannyML", "nannyml"),
        ):
            if key in lines[0]:
                parts.append(row(title, "before", [line[key] for line in lines], None, [line[key] for line in clean]))
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, default=Path("data/mnist"))
    parser.add_argument("--model", choices=MODELS, help="to measure")
    parser.add_argument("--set", choices=SETS, default="unseen", help="of corruptions and foreign rows")
    parser.add_argument("--resnet", type=Path, help="repository with the model 'resnet'")
    parser.add_argument("--write", type=Path, help="folder of the pages whose tables are written")
    options = parser.parse_args()
    if options.model:
        repository = options.resnet if options.model == "resnet" else Path(starter.__file__).parent
        measure(options.model, repository, options.data_dir, SETS[options.set])
        print(gate_table(SETS[options.set].suffix))
    if options.write:
        write_between(options.write / "recalibration.md", "recalibration_prior", prior_table())
        write_between(options.write / "recalibration.md", "recalibration_gates", gate_table())
        write_between(options.write / "accuracy.md", "accuracy", accuracy_table())


if __name__ == "__main__":
    main()
