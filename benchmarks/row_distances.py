"""What drift would be found if single rows were looked at along the directions as well: a trial that was not built in.

    python -m benchmarks.row_distances --data-dir data/mnist --model mlp --write docs/drift.md
    python -m benchmarks.row_distances --data-dir data/mnist --model resnet --resnet REPOSITORY --write docs/drift.md

One more figure of a window: the average over its rows of the logarithm of a row's squared distance along the directions
of `models.drift.directions`, of each layer. A window is significant if today's statistic is at half the false-alarm
rate, or this figure at the other half. Directions fit the rows that they are from, so the usual distances are those of
folds of the held-out rows, along the directions of the other folds.

Two sets of conditions: mild ones of `benchmarks.corruptions` (`MILD`), on which the form was to be chosen, and those of
`benchmarks.positions`, most of them of `benchmarks.unseen_corruptions`. Undisturbed windows are of random splits of all
test images. The time is that of the observed graph on 32 rows with the moments, as a median of paired ratios, with
distances computed by numpy. The figures of a model are kept in benchmarks/results/row_distances.json.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from benchmarks import positions
from benchmarks.bundles import observed
from benchmarks.corruptions import CORRUPTIONS, damage
from benchmarks.drift.by_model import run
from benchmarks.drift.rows import Images, Indices, Model, Rows, TestImages, windows
from benchmarks.mnist_models import MODELS
from models.batchnorm import Float64
from models.drift.calibration import estimate
from models.drift.detector import Detector
from models.drift.directions import Directions
from models.drift.reference import ExpectedMoments
from models.moments.window import WindowMoments
from models.observation import ObservationReader, RowStatistics
from models.runtime.load import load

RESULTS = Path(__file__).parent / "results" / "row_distances.json"
SIZES = (16, 64)
WINDOWS = 100
RATE = 0.01
FOUND = 0.99
"""Share of the windows, for a corruption to count as found."""

SPLITS, WINDOWS_EACH = 10, 200
FOLDS = 10
COST_ROWS, COST_SECONDS = 32, 10.0

MILD = {
    "noise": (0.025, 0.05, 0.1),
    "impulse": (0.01, 0.025, 0.05),
    "blur": (0.4, 0.55, 0.75),
    "contrast": (0.9, 0.8, 0.7),
    "brightness": (0.02, 0.05, 0.1),
    "inversion": (0.02, 0.05),
    "rotation": (5.0, 10.0, 20.0, 30.0),
    "occlusion": (0.1, 0.2, 0.3, 0.4),
    "fog": (0.05, 0.1, 0.2),
}
"""Amounts of the kinds of `benchmarks.corruptions`, most of them below severity 1: today's statistic misses some."""

_SMALLEST = 1e-9

Layers = Mapping[str, RowStatistics]


class Way(NamedTuple):
    """Where the distances of rows are taken.

    Attributes:
        directions: of each layer, at most.
        of_input: along directions of the input's pixels, rather than of the layers.
    """

    directions: int
    of_input: bool = False

    def layers(self, rows: Rows, images: Images) -> Layers:
        """What the directions are of."""
        if not self.of_input:
            return rows.layers
        pixels = images.reshape(len(images), -1).astype(np.float64)
        return {"input": RowStatistics(pixels, pixels**2)}


WAYS: dict[str, Way | None] = {
    "today": None,
    "with 64 directions": Way(64),
    "with 16 directions": Way(16),
    "with 64 directions of the input": Way(64, of_input=True),
}


class Distances:
    """Logarithms of the squared distances of rows along the directions of each layer.

    Args:
        known: held-out rows, which the directions are of.
        directions: of each layer, at most.
    """

    def __init__(self, known: Layers, directions: int) -> None:
        self._layers = []
        for name, rows in known.items():
            expected = ExpectedMoments.of_rows(rows)
            along = Directions.of_rows(*expected.standardized(rows.mean, rows.mean_square), directions)
            self._layers.append((name, expected, along))

    def of(self, layers: Layers) -> Float64:
        """Of each row in each layer, shape (rows, layers)."""
        found = [
            along.t_squared(*expected.standardized(layers[name].mean, layers[name].mean_square))
            for name, expected, along in self._layers
        ]
        return np.log(np.maximum(np.stack(found, axis=1), _SMALLEST))


class Judge:
    """Judges windows as today, and by the distances of their rows.

    Args:
        known: held-out rows.
        images: that they are of.
        today: by the same held-out rows.
        way: of the distances; None for today's judgement alone.
    """

    def __init__(self, known: Rows, images: Images, today: Detector, way: Way | None) -> None:
        self._today, self._way = today, way
        if way is None:
            return
        layers = way.layers(known, images)
        self._distances = Distances(layers, way.directions)
        usual = np.zeros((len(images), len(layers)))
        every = np.arange(len(images))
        for fold in np.array_split(np.random.default_rng(3).permutation(every), FOLDS):
            rest = np.setdiff1d(every, fold)
            others = Distances({name: rows.take(rest) for name, rows in layers.items()}, way.directions)
            usual[fold] = others.of({name: rows.take(fold) for name, rows in layers.items()})
        self._center, self._spread = usual.mean(axis=0), usual.std(axis=0)
        self._single = Detector(estimate({"distances": self._statistics(usual)}, None, 0))

    def share(self, rows: Rows, images: Images, chosen: Iterator[Indices]) -> float:
        """Share of the windows, by their rows' indices, that are significant."""
        if self._way is None:
            return float(np.mean([self._today.assess(*rows.take(one).window(), RATE).significant for one in chosen]))
        single = self._statistics(self._distances.of(self._way.layers(rows, images)))
        found = []
        for one in chosen:
            is_today = self._today.assess(*rows.take(one).window(), RATE / 2).significant
            distances = {"distances": WindowMoments.of(single.take(one))}
            found.append(bool(is_today or self._single.assess(distances, None, RATE / 2).significant))
        return float(np.mean(found))

    def _statistics(self, distances: Float64) -> RowStatistics:
        """As those of a layer whose averages alone count: its mean squares are the same in all rows."""
        small = (distances - self._center) / self._spread / 100
        return RowStatistics(small, np.ones_like(small))


def mild(clean: Images) -> dict[str, Callable[[], Images]]:
    """How the images are disturbed by `MILD`, by name."""
    return {
        f"{kind} {amount}": partial(damage, clean, replace(CORRUPTIONS[kind], amounts=(amount,)), 1, 1)
        for kind, amounts in MILD.items()
        for amount in amounts
    }


def measure(model: Model, images: TestImages) -> None:
    """Keep the shares of significant windows, by way and condition, and the time."""
    known, clean = images.images[images.reference], images.images[positions.choose_images(images)]
    judges = _judges(model.observe(known), known)
    line: dict[str, Any] = {"model": model.name, "cost": cost(model, model.observe(known))}
    for title, conditions in (("mild", mild(clean)), ("unseen", positions.conditions(clean))):
        line[title] = {way: {} for way in WAYS}
        for condition, corrupt in conditions.items():
            disturbed = corrupt()
            rows = model.observe(disturbed)
            for way, judge in judges.items():
                line[title][way][condition] = [
                    judge.share(rows, disturbed, _windows(len(disturbed), size, WINDOWS)) for size in SIZES
                ]
    line["undisturbed"] = _undisturbed(model, images)
    lines = [*(one for one in _read() if one["model"] != model.name), line]
    lines.sort(key=lambda one: MODELS.index(one["model"]))
    RESULTS.write_text(json.dumps(lines, indent=1) + "\n")


def _judges(known: Rows, images: Images) -> dict[str, Judge]:
    today = Detector(estimate(known.layers, known.predicted, known.logits.shape[1]))
    return {title: Judge(known, images, today, way) for title, way in WAYS.items()}


def _windows(pool: int, size: int, count: int) -> Iterator[Indices]:
    return windows(np.arange(pool), size, count, np.random.default_rng([13, size]))


def _undisturbed(model: Model, images: TestImages) -> dict[str, list[list[float]]]:
    """Share of significant windows, by way: of each split and size."""
    rows, random = model.observe(images.images), np.random.default_rng(11)
    found: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    for _ in range(SPLITS):
        order = random.permutation(len(images.images))
        known, others = order[: len(images.reference)], order[len(images.reference) :]
        new = rows.take(others)
        for way, judge in _judges(rows.take(known), images.images[known]).items():
            drawn = [_windows(len(others), size, WINDOWS_EACH) for size in SIZES]
            found[way].append([judge.share(new, images.images[others], one) for one in drawn])
    return found


def cost(model: Model, known: Rows) -> float:
    """Time of observing with the distances along 64 directions, over that without."""
    (spec,) = model.manifest.inputs
    inputs = {spec.name: np.random.default_rng(0).random((COST_ROWS, *spec.shape[1:]), dtype=np.float32)}
    network = load(observed(model.bundle), optimize=True)
    reader, distances = ObservationReader(model.manifest.layers, network(inputs)), Distances(known.layers, 64)

    def observe(*, with_distances: bool) -> float:
        began = perf_counter()
        layers = reader.read(network(inputs))
        for rows in layers.values():
            WindowMoments.of(rows)
        if with_distances:
            along = distances.of(layers)
            WindowMoments.of(RowStatistics(along, along**2))
        return perf_counter() - began

    ratios = []
    end = perf_counter() + COST_SECONDS
    while perf_counter() < end:
        ratios.append(observe(with_distances=True) / observe(with_distances=False))
    return float(np.median(ratios))


def _read() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
    return found


def table() -> str:
    """One line for each model and way."""
    heads = ["model", "single rows"]
    heads += [f"mild ones of the tuning set, {size} rows" for size in SIZES]
    heads += ["unseen, 16 rows", "found in 64 rows", *(f"undisturbed, {size} rows" for size in SIZES), "time"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for one in _read():
        for way in WAYS:
            of_mild, of_unseen = (np.array(list(one[title][way].values())) for title in ("mild", "unseen"))
            splits = np.array(one["undisturbed"][way])
            errors = 1.96 * splits.std(axis=0, ddof=1) / np.sqrt(len(splits))
            cells = [
                *(f"{share:.1%}" for share in of_mild.mean(axis=0)),
                f"{of_unseen[:, 0].mean():.1%}",
                f"{(of_unseen[:, 1] >= FOUND).sum()} of {len(of_unseen)}",
                *(f"{share:.1%} ± {error:.1%}" for share, error in zip(splits.mean(axis=0), errors, strict=True)),
                {"today": "1", "with 64 directions": f"{one['cost']:.2f}"}.get(way, ""),
            ]
            lines.append(f"| `{one['model']}` | {way} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run(__doc__.partition("\n")[0], measure, table, "drift_row_distances")
