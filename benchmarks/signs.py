"""Which re-calibrations the gates let through, what the prior is worth, and how well accuracy is estimated.

    python -m benchmarks.signs --data-dir data/mnist --model mlp [--resnet REPOSITORY] [--set tuning]
    python -m benchmarks.signs --write docs

On corruptions that nothing was tuned on (`benchmarks.unseen_corruptions`), at two severities, on MNIST's test images
without those that the bundles keep: 64 rows of a pool are estimated from, or 256 with `--set "unseen, more rows"`.
Accuracy is measured on 4,000 others, since with 500 rows a version that changes nothing harms by half a point now and
then. `--set tuning` has the corruptions of `benchmarks.corruptions` at four severities and other foreign rows: the
bounds of the gates are chosen on these. `--resnet` is a repository with a model "resnet" of `python -m training train
--model resnet --data mnist --epochs 1 --width 8 --batch-size 64`. Each condition's figures are kept in
benchmarks/results/signs_<model>.jsonl, signs_<model>_256.jsonl or signs_<model>_tuning.jsonl; one that is there is not
measured again, so a run that was interrupted goes on. The error is the standard error of what the version gains.
"""

import argparse
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import foreign_rows, unseen_corruptions
from benchmarks.bundles import held_out_rows
from benchmarks.corruptions import CORRUPTIONS, Corruption, damage
from benchmarks.pages import write_between
from benchmarks.signs_results import MODELS, PRIORS, RESULTS, accuracy_table, gate_table, prior_table
from models import starter
from models.classification import probabilities
from models.graph.adapt import ChannelStatistics, restate
from models.graph.load import parse, serialize
from models.recalibration.accuracy import AccuracyEstimator
from models.recalibration.adaptation import AdaptiveNetwork
from models.recalibration.evaluation import Estimation, evaluate
from models.recalibration.rows import NO_CLASS
from models.repository import held_out
from models.repository.repository import Repository
from models.runtime.load import load
from models.stored_graph import SerializedGraph
from training.data import mnist

ROWS, MORE_ROWS = 64, 256
"""The fewest that a version is published from, and as many as are collected by default."""
POOL, MEASURED = 1000, 4000
DRAWS = 2
GRADUAL_STEPS = 6


@dataclass(frozen=True)
class CaseSet:
    """What the cases are made of.

    Attributes:
        corruptions: by name.
        severities: of these.
        gradual: corruptions that begin at nothing.
        foreign: images that are no digits, by name.
        priors: that are compared with the estimated one.
        rows: that are estimated from.
        suffix: of the file of results.
    """

    corruptions: dict[str, Corruption]
    severities: tuple[int, ...]
    gradual: tuple[str, ...]
    foreign: dict[str, Callable[[int, int], NDArray[np.float32]]]
    priors: dict[str, float] = field(default_factory=dict)
    rows: int = ROWS
    suffix: str = ""


UNSEEN = CaseSet(
    unseen_corruptions.UNSEEN,
    unseen_corruptions.SEVERITIES,
    ("shear", "translate", "stripe", "dotted line", "speckle", "vignette", "spatter", "thin"),
    {"letters": foreign_rows.letters, "clothes": foreign_rows.clothes},
    priors=PRIORS,
)
SETS = {
    "unseen": UNSEEN,
    "unseen, more rows": replace(UNSEEN, priors={}, rows=MORE_ROWS, suffix=f"_{MORE_ROWS}"),
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
        group: one of `benchmarks.signs_results.GROUPS`.
        measured: keys of the images to measure on.
        labels: classes of the rows; `NO_CLASS` for what is no digit.
    """

    name: str
    group: str
    rows: NDArray[np.float32]
    measured: tuple[str, ...]
    labels: NDArray[np.int64]


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
    labels, count = data.pool_labels, data.set.rows
    no_digits = np.full(count, NO_CLASS)
    for key, draw in itertools.product(["clean", *keys], range(DRAWS)):
        chosen = np.random.default_rng([draw, len(key)]).choice(POOL, count, replace=False)
        group = "clean" if key == "clean" else "corruption"
        yield Case(f"{key} {draw}", group, data.pool_of(key)[chosen], (key,), labels[chosen])
    for draw in range(10):
        random = np.random.default_rng([draw, 9])
        for classes in ([draw], [draw, (draw + 3) % 10]):
            chosen = random.choice(np.flatnonzero(np.isin(labels, classes)), count)
            yield Case(f"classes {classes}", "one or two classes", data.pool[chosen], ("clean",), labels[chosen])
        weight = 0.5 ** random.permutation(10)[labels]
        chosen = random.choice(POOL, count, replace=False, p=weight / weight.sum())
        yield Case(f"long tail {draw}", "long tail", data.pool[chosen], ("clean",), labels[chosen])
        key = keys[(3 * draw + 1) % len(keys)]
        chosen = random.choice(POOL, count, replace=False)
        mixed = data.pool[chosen].copy()
        mixed[::2] = data.pool_of(key)[chosen[::2]]
        yield Case(f"half clean, half {key}", "mixture", mixed, ("clean", key), labels[chosen])
        for name, foreign in data.set.foreign.items():
            yield Case(f"{name} {draw}", "foreign rows", foreign(count, draw), ("clean",), no_digits)
        crafted, classes_of_crafted = data.pool[chosen].copy(), labels[chosen].copy()
        crafted[: count * 3 // 10] = random.random((1, 1, 28, 28)) > 0.5
        classes_of_crafted[: count * 3 // 10] = NO_CLASS
        yield Case(f"30 % crafted {draw}", "crafted rows", crafted, ("clean",), classes_of_crafted)
    for name in data.set.gradual:
        chosen = np.random.default_rng([len(name), 8]).choice(POOL, count, replace=False)
        shifted = _gradual(data.pool[chosen], data.set.corruptions[name])
        measured = ("clean", f"{name} {data.set.severities[-1]}")
        yield Case(f"gradual {name}", "gradual shift", shifted, measured, labels[chosen])


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
    kept = held_out_rows(parent)
    estimator = AccuracyEstimator.calibrate(parent.manifest, network, kept, max_seconds=300)
    data = Data(folder, MEASURED, chosen)
    usual = probabilities(load(parent.folded, optimize=True)(kept)[output], parent.manifest.scores)
    path = RESULTS / f"signs_{name}{chosen.suffix}.jsonl"
    done = {json.loads(line)["name"] for line in path.read_text().splitlines()} if path.is_file() else set()

    def right(folded: SerializedGraph, keys: tuple[str, ...]) -> NDArray[np.bool_]:
        run = load(folded, optimize=True)
        scores = [run({spec.name: data.measured_of(key).reshape(shape)})[output] for key in keys]
        return np.concatenate([found.argmax(1) == data.labels for found in scores])

    parents: dict[tuple[str, ...], NDArray[np.bool_]] = {}

    def with_statistics(statistics: Mapping[str, ChannelStatistics]) -> bytes:
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
            if case.measured not in parents:
                parents[case.measured] = right(parent.folded, case.measured)
            old, new = parents[case.measured], right(candidate.folded, case.measured)
            confidence = probabilities(before.outputs[output], parent.manifest.scores).max(axis=1)
            line = {
                "name": case.name,
                "group": case.group,
                "before": float(old.mean()),
                "after": float(new.mean()),
                "error": float((new.astype(float) - old).std() / np.sqrt(len(old))),
                "figures": {gate.name: gate.figure for gate in found.gates},
                "bounds": {gate.name: [gate.lower, gate.upper] for gate in found.gates},
                "failed": [gate.name for gate in found.gates if not gate.passed],
                "estimates": [[one.accuracy, one.low, one.high] for one in found.accuracy or ()],
                "atc": float(np.mean(confidence >= np.quantile(usual.max(axis=1), 0.02))),
                "doc": float(1 - (usual.max(axis=1).mean() - confidence.mean())),
            }
            if case.group in ("corruption", "clean"):
                for title, prior in chosen.priors.items():
                    fixed = network.run(rows, prior / (prior + chosen.rows))
                    line[title] = float(right(with_statistics(fixed.mixed), case.measured).mean())
            file.write(json.dumps(line) + "\n")
            file.flush()


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
        more = gate_table(SETS["unseen, more rows"].suffix)
        write_between(options.write / "recalibration.md", "recalibration_gates_more_rows", more)
        write_between(options.write / "accuracy.md", "accuracy", accuracy_table())


if __name__ == "__main__":
    main()
