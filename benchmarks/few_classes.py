"""Are rows of one or two classes refused where they come from another source than the training rows?

    python -m benchmarks.few_classes [--model mlp convnet] [--draws 30] [--write docs/recalibration.md]

The digits of scikit-learn, in a frame as wide as that of MNIST's: for each draw, 64 or 150 images of one digit or of
two are what a version is re-calibrated from, without labels. None should be published: statistics of few classes harm
all others. "Harm" is what such a version loses on these very rows.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.auto.week import Images
from benchmarks.domains import Classes, Network
from benchmarks.mnist_models import STARTERS
from benchmarks.pages import write_between
from models import starter
from models.errors import InvalidInput
from models.recalibration.estimate import recalibrate
from training.data import digits

SIZES = ((64, 1), (150, 1), (64, 2))
"""Rows, and classes that they are of."""


class Result(NamedTuple):
    """Of one draw: accuracies on its rows, in percent."""

    is_published: bool
    parent: float
    version: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", choices=STARTERS, nargs="+", default=STARTERS)
    parser.add_argument("--draws", type=int, default=30)
    parser.add_argument("--write", type=Path, help="page with the two marker comments")
    options = parser.parse_args()
    images, labels = framed()
    lines = [
        "| | rows | classes | published | of these, harmful | at worst, points |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name in options.model:
        network = Network(starter.read(name))
        for rows, classes in SIZES:
            results = [*_results(network, images, labels, rows, classes, options.draws)]
            lines.append(_row(name, rows, classes, results))
            print(lines[-1], flush=True)
    if options.write:
        write_between(options.write, "few_classes", "\n".join(lines))


def framed() -> tuple[Images, Classes]:
    """Images of shape (n, 1, 28, 28) from 0 to 1, and their labels."""
    data = digits.load()
    images = np.concatenate([data.train_images, data.test_images])[..., ::2, ::2].astype(np.float32) / 255
    return np.pad(images, ((0, 0), (0, 0), (7, 7), (7, 7))), np.concatenate([data.train_labels, data.test_labels])


def _results(
    network: Network, images: Images, labels: Classes, rows: int, classes: int, draws: int
) -> Iterator[Result]:
    (spec,) = network.bundle.manifest.inputs
    for draw in range(draws):
        chosen = _draw(labels, rows, classes, draw)
        found = images[chosen]
        try:
            candidate = recalibrate(network.bundle, 1, {spec.name: found.reshape(-1, *spec.shape[1:])})
        except InvalidInput:
            continue
        parent, version = (
            100 * float((each.classes(found) == labels[chosen]).mean()) for each in (network, Network(candidate.bundle))
        )
        yield Result(not candidate.failed_gates, parent, version)


def _draw(labels: Classes, rows: int, classes: int, draw: int) -> NDArray[np.int64]:
    """Positions of rows of some classes: of each digit in turn, and of others."""
    random = np.random.default_rng([draw, rows, classes])
    others = np.delete(np.arange(10), draw % 10)
    of_classes = np.flatnonzero(np.isin(labels, [draw % 10, *random.choice(others, classes - 1, replace=False)]))
    return random.choice(of_classes, min(rows, len(of_classes)), replace=False)


def _row(name: str, rows: int, classes: int, results: list[Result]) -> str:
    published = [result for result in results if result.is_published]
    lost = [result.parent - result.version for result in published]
    worst = f"{-max(lost):+.0f}" if lost else "-"
    shares = f"{len(published)} of {len(results)} | {sum(one > 0.5 for one in lost)}"
    return f"| `{name}` | {rows} | {classes} | {shares} | {worst} |"


if __name__ == "__main__":
    main()
