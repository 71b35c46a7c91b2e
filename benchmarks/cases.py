"""Cases for the gates of re-calibration: rows to estimate from, and rows to measure the new version on.

On MNIST's test images without those that the bundles keep. `benchmarks.signs` says what the sets are for.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import foreign_rows, unseen_corruptions
from benchmarks.bundles import held_out_rows
from benchmarks.corruptions import CORRUPTIONS, Corruption, damage
from benchmarks.signs_results import PRIORS
from models.datatypes import Arrays
from models.graph.adapt import restate
from models.graph.load import parse, serialize
from models.recalibration.accuracy import AccuracyEstimator
from models.recalibration.adaptation import AdaptiveNetwork
from models.recalibration.evaluation import Estimation, Evaluation, evaluate
from models.recalibration.rows import NO_CLASS
from models.repository import held_out
from models.repository.bundle import Bundle
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


class CaseModel:
    """A version, and what its re-calibrations from cases are measured with.

    Attributes:
        bundle: the version, the parent of those that are made from cases.
        source: its source graph.
        network: estimates statistics.
        estimator: of the accuracy of a new version.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.source = parse(bundle.source)
        self.network = AdaptiveNetwork(self.source)
        self.held_out = held_out_rows(bundle)
        self.estimator = AccuracyEstimator.calibrate(bundle.manifest, self.network, self.held_out, max_seconds=300)
        (self._input,) = bundle.manifest.inputs
        self.output = bundle.manifest.outputs[0].name

    def inputs(self, images: NDArray[np.float32]) -> Arrays:
        """Images as the model takes them."""
        return {self._input.name: images.reshape(-1, *self._input.shape[1:])}

    def evaluate(self, images: NDArray[np.float32], *, is_in_order: bool = False) -> tuple[Bundle, Evaluation]:
        """The version that is made from images, served only, and what its gates say.

        Args:
            images: to estimate from.
            is_in_order: as of `models.recalibration.evaluation.Estimation`.
        """
        rows = self.inputs(images)
        before, after = self.network.run(rows, 1.0), self.network.run(rows)
        version = replace(self.bundle, folded=serialize(restate(self.source, after.mixed)))
        estimation = Estimation(rows, self.network, before, after, is_in_order)
        return version, evaluate(self.bundle, version, estimation, estimator=self.estimator)

    def classes(self, folded: SerializedGraph, images: NDArray[np.float32]) -> NDArray[np.int64]:
        """The classes that a version of the model predicts for images."""
        scores = load(folded, optimize=True)(self.inputs(images))[self.output]
        return np.asarray(scores.argmax(1), np.int64)


def measure_cases(path: Path, cases: Iterable[Case], measure: Callable[[Case], dict[str, Any]]) -> None:
    """Append the figures of each case that a file does not have: a run that was interrupted goes on."""
    done = {json.loads(line)["name"] for line in path.read_text().splitlines()} if path.is_file() else set()
    with path.open("a") as file:
        for case in cases:
            if case.name not in done:
                file.write(json.dumps({"name": case.name, "group": case.group} | measure(case)) + "\n")
                file.flush()
