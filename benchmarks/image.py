"""What watching the input as an image finds, and what it costs: networks with and without the layer `image`.

    python -m benchmarks.image --data-dir data/mnist --model mlp --write docs/drift.md
    python -m benchmarks.image --data-dir data/mnist --model resnet --resnet REPOSITORY --write docs/drift.md

Windows of MNIST's test images that set no thresholds, undisturbed and corrupted; significant at 1 %. Which moments the
layer has was chosen on `MILD`, corruptions of `benchmarks.corruptions`, most of them milder than its severity 1. What
they find is measured on `conditions`: `benchmarks.unseen_corruptions`, and rotations, covered blocks and swapped axes.
Undisturbed windows are of random splits of all test images. The cost is that of the observed graphs of 32 rows, with
the moments, as a median over rounds of paired ratios. The figures of a model are kept in benchmarks/results/image.json.
"""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks import corruptions, unseen_corruptions
from benchmarks.bundles import observed
from benchmarks.corruptions import CORRUPTIONS, damage
from benchmarks.drift.by_model import run
from benchmarks.drift.rows import Images, Indices, Model, Rows, TestImages, windows
from benchmarks.mnist_models import MODELS
from models.assemble import assemble, signed_lineage
from models.datatypes import Arrays
from models.drift.calibration import estimate
from models.drift.detector import Detector
from models.graph.load import parse
from models.model_info import ModelInfo
from models.moments.layers import LayerMoments, Layers
from models.observation import ObservationReader
from models.runtime.load import load

RESULTS = Path(__file__).parent / "results" / "image.json"
SIZES = (16, 64)
WINDOWS = 200
SPLITS = 10
ROWS = 1000
FOUND = 0.99
"""Share of the windows, for a corruption to count as found."""

COST_ROWS, COST_SECONDS = 32, 20.0

FORMS: Mapping[str, slice] = {
    "without": slice(0),
    "places": slice(1, 6),
    "places, mean and mean square": slice(7),
    "all nine": slice(9),
}
"""Channels of the layer, by what was tried. The last one is the layer."""

WITHOUT, LAYER = "without", "all nine"

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
"""Amounts of the kinds of `benchmarks.corruptions`."""

Conditions = Mapping[str, Callable[[], Images]]


def conditions(clean: Images) -> Conditions:
    """How the images are disturbed, by name."""
    found = unseen_corruptions.conditions(clean) | {
        f"{kind} {severity}": partial(corruptions.corrupt, clean, kind, severity, 1)
        for kind, severity in itertools.product(("rotation", "occlusion"), (1, 3))
    }
    return found | {"swapped axes": lambda: clean.swapaxes(2, 3), "translate to one side": lambda: np.roll(clean, 2, 3)}


def mild(clean: Images) -> Conditions:
    """How the images are disturbed by `MILD`, by name."""
    return {
        f"{kind} {amount}": partial(damage, clean, replace(CORRUPTIONS[kind], amounts=(amount,)), 1, 1)
        for kind, amounts in MILD.items()
        for amount in amounts
    }


def version(parent: Model, images: TestImages, *, image: bool = False, margin: bool = False) -> Model:
    """The network with or without layers that are watched by choice."""
    (spec,) = parent.manifest.inputs
    rows = {spec.name: images.images[images.reference].reshape(-1, *spec.shape[1:])}
    info = replace(ModelInfo.of(parent.manifest), watch_image=image, watch_margin=margin)
    return Model.of(assemble(parse(parent.bundle.source), info, signed_lineage("imported"), rows=rows))


def choose_images(images: TestImages) -> Indices:
    """Indices of the images that are disturbed."""
    return np.random.default_rng(12).permutation(images.others)[:ROWS]


def significant(detector: Detector, rows: Rows) -> list[float]:
    """Share of significant windows of both sizes."""
    return [
        float(np.mean([detector.assess(*rows.take(one).window()).significant for one in _windows(rows, size)]))
        for size in SIZES
    ]


def shares(model: Model, images: TestImages) -> dict[str, list[float]]:
    """Share of significant windows of both sizes, by condition."""
    detector, clean = Detector(model.reference), images.images[choose_images(images)]
    found = {"undisturbed": significant(detector, model.observe(images.images[images.others]))}
    return found | {
        name: significant(detector, model.observe(corrupt())) for name, corrupt in conditions(clean).items()
    }


def cost(plain: Model, more: Model) -> float:
    """Time of observing a version that watches more, over that of a plain one."""
    (spec,) = plain.manifest.inputs
    rows = {spec.name: np.random.default_rng(0).random((COST_ROWS, *spec.shape[1:]), dtype=np.float32)}
    ratios = []
    both = [_observing(model, rows) for model in (plain, more)]
    end = perf_counter() + COST_SECONDS
    while perf_counter() < end:
        times = []
        for observe in both:
            observe()
            began = perf_counter()
            observe()
            times.append(perf_counter() - began)
        ratios.append(times[1] / times[0])
    return float(np.median(ratios))


def measure(model: Model, images: TestImages) -> None:
    """Keep the shares of significant windows, by form and condition, and the time."""
    plain, watched = version(model, images), version(model, images, image=True)
    every = watched.observe(images.images)
    known, clean = every.take(images.reference), images.images[choose_images(images)]
    detectors = {form: _detector(_with(known, form)) for form in FORMS}
    line: dict[str, Any] = {"model": model.name, "cost": cost(plain, watched)}
    for title, of_set in (("tuning", mild(clean)), ("unseen", conditions(clean))):
        line[title] = {form: {} for form in FORMS}
        for condition, corrupt in of_set.items():
            rows = watched.observe(corrupt())
            for form, detector in detectors.items():
                line[title][form][condition] = significant(detector, _with(rows, form))
    line["undisturbed"] = _undisturbed(every, len(images.reference))
    lines = [*(one for one in _read() if one["model"] != model.name), line]
    lines.sort(key=lambda one: MODELS.index(one["model"]))
    RESULTS.write_text(json.dumps(lines, indent=1) + "\n")


def _undisturbed(every: Rows, known: int) -> dict[str, list[list[float]]]:
    """Share of significant windows, by form: of each split and size."""
    random = np.random.default_rng(11)
    found: dict[str, list[list[float]]] = {form: [] for form in FORMS}
    for _ in range(SPLITS):
        order = random.permutation(len(every.logits))
        for form, of_splits in found.items():
            rows = _with(every, form)
            of_splits.append(significant(_detector(rows.take(order[:known])), rows.take(order[known:])))
    return found


def _detector(known: Rows) -> Detector:
    return Detector(estimate(known.layers, known.predicted, known.logits.shape[1]))


def _with(rows: Rows, form: str) -> Rows:
    """The rows with these channels of the layer alone."""
    layers = {name: of for name, of in rows.layers.items() if not name.endswith(".image")}
    if form != WITHOUT:
        (name,) = rows.layers.keys() - layers.keys()
        layers[name] = rows.layers[name].of_channels(FORMS[form])
    return Rows(layers, rows.logits)


def _windows(rows: Rows, size: int) -> Iterator[Indices]:
    return windows(np.arange(len(rows.logits)), size, WINDOWS, np.random.default_rng([13, size]))


def _observing(model: Model, rows: Arrays) -> Callable[[], Layers]:
    observe = load(observed(model.bundle), optimize=True)
    reader = ObservationReader(model.manifest.layers, observe(rows))
    return lambda: LayerMoments.of(reader.read(observe(rows)))


def _read() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
    return found


def forms_table() -> str:
    """What each form finds."""
    heads = ["model", "moments", *(f"tuning set, {size} rows" for size in SIZES)]
    heads += ["unseen, 16 rows", "found in 64 rows", *(f"undisturbed, {size} rows" for size in SIZES), "time"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for one in _read():
        for form in FORMS:
            of_tuning, of_unseen = (np.array(list(one[title][form].values())) for title in ("tuning", "unseen"))
            splits = np.array(one["undisturbed"][form])
            errors = 1.96 * splits.std(axis=0, ddof=1) / np.sqrt(len(splits))
            cells = [
                *(f"{share:.1%}" for share in of_tuning.mean(axis=0)),
                f"{of_unseen[:, 0].mean():.1%}",
                f"{(of_unseen[:, 1] >= FOUND).sum()} of {len(of_unseen)}",
                *(f"{share:.1%} ± {error:.1%}" for share, error in zip(splits.mean(axis=0), errors, strict=True)),
                {WITHOUT: "1", LAYER: f"{one['cost']:.2f}"}.get(form, ""),
            ]
            lines.append(f"| `{one['model']}` | {form} | {' | '.join(cells)} |")
    return "\n".join(lines)


def conditions_table() -> str:
    """The conditions that are not found in nearly all windows without the layer."""
    measured = _read()
    heads = [f"`{one['model']}`: {size} rows | with `image`" for one in measured for size in SIZES]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---|---|" * len(heads)]

    def cells(condition: str) -> list[float]:
        return [one["unseen"][form][condition][at] for one in measured for at in range(2) for form in (WITHOUT, LAYER)]

    every = list(measured[0]["unseen"][WITHOUT])
    shown = [condition for condition in every if min(cells(condition)) < FOUND]
    lines += [f"| {one} | " + " | ".join(f"{share:.0%}" for share in cells(one)) + " |" for one in shown]
    mean = np.mean([cells(one) for one in every if one not in shown], axis=0)
    lines.append(f"| {len(every) - len(shown)} others | " + " | ".join(f"{share:.0%}" for share in mean) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    run(__doc__.partition("\n")[0], measure, {"drift_image": forms_table, "drift_image_conditions": conditions_table})
