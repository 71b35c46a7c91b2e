"""What watching positions finds, and what it costs: a network with and without the layer `positions`.

    python -m benchmarks.positions --data-dir data/mnist --model convnet --write docs/drift.md
    python -m benchmarks.positions --data-dir data/mnist --model resnet --resnet REPOSITORY --write docs/drift.md

Windows of MNIST's test images that set no thresholds, undisturbed and corrupted: `benchmarks.unseen_corruptions`, and
rotations, covered blocks and swapped axes. Both versions are assembled from the same source graph and held-out rows;
200 windows each, significant at 1 %. The cost is that of the observed graphs of 32 rows, with the moments, as a median
over rounds of paired ratios. Results are kept in benchmarks/results/positions.json; a version that is there is not
measured again.
"""

import argparse
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks import corruptions, unseen_corruptions
from benchmarks.bundles import observed
from benchmarks.drift.rows import Images, Indices, Model, Rows, TestImages, windows
from benchmarks.mnist_models import add_options, read_model
from benchmarks.pages import write_between
from models.assemble import assemble, signed_lineage
from models.datatypes import Arrays
from models.drift.detector import Detector
from models.graph.load import parse
from models.model_info import ModelInfo
from models.moments.window import WindowMoments
from models.observation import ObservationReader
from models.runtime.load import load

RESULTS = Path(__file__).parent / "results" / "positions.json"
SIZES = (16, 64)
WINDOWS = 200
ROWS = 1000
COST_ROWS, COST_SECONDS = 32, 20.0


def conditions(clean: Images) -> dict[str, Callable[[], Images]]:
    """How the images are disturbed, by name."""
    unseen = itertools.product(unseen_corruptions.UNSEEN, unseen_corruptions.SEVERITIES)
    found: dict[str, Callable[[], Images]] = {
        f"{kind} {severity}": partial(unseen_corruptions.corrupt, clean, kind, severity, 1) for kind, severity in unseen
    }
    found |= {
        f"{kind} {severity}": partial(corruptions.corrupt, clean, kind, severity, 1)
        for kind, severity in itertools.product(("rotation", "occlusion"), (1, 3))
    }
    return found | {"swapped axes": lambda: clean.swapaxes(2, 3), "translate to one side": lambda: np.roll(clean, 2, 3)}


def version(parent: Model, images: TestImages, *, positions: bool = False, margin: bool = False) -> Model:
    """The network with or without layers that are watched by choice."""
    (spec,) = parent.manifest.inputs
    rows = {spec.name: images.images[images.reference].reshape(-1, *spec.shape[1:])}
    info = replace(ModelInfo.of(parent.manifest), watch_positions=positions, watch_margin=margin)
    return Model.of(assemble(parse(parent.bundle.source), info, signed_lineage("imported"), rows=rows))


def choose_images(images: TestImages) -> Indices:
    """Indices of the images that are disturbed."""
    return np.random.default_rng(12).permutation(images.others)[:ROWS]


def measure(model: Model, images: TestImages) -> dict[str, list[float]]:
    """Share of significant windows of both sizes, by condition."""
    chosen = choose_images(images)
    detector, random = Detector(model.reference), np.random.default_rng(13)

    def share(rows: Rows, pool: int, size: int) -> float:
        drawn = windows(np.arange(pool), size, WINDOWS, random)
        return float(np.mean([detector.assess(*rows.take(one).window()).significant for one in drawn]))

    clean = model.observe(images.images[images.others])
    shares = {"undisturbed": [share(clean, len(images.others), size) for size in SIZES]}
    for condition, corrupt in conditions(images.images[chosen]).items():
        rows = model.observe(corrupt())
        shares[condition] = [share(rows, ROWS, size) for size in SIZES]
    return shares


def _observing(model: Model, rows: Arrays) -> Callable[[], list[WindowMoments]]:
    run = load(observed(model.bundle), optimize=True)
    reader = ObservationReader(model.manifest.layers, run(rows))
    return lambda: [WindowMoments.of(one) for one in reader.read(run(rows)).values()]


def cost(both: Mapping[bool, Model]) -> float:
    """Time of observing with the layer, over that without it."""
    (spec,) = both[False].manifest.inputs
    rows = {spec.name: np.random.default_rng(0).random((COST_ROWS, *spec.shape[1:]), dtype=np.float32)}
    runs = {watched: _observing(model, rows) for watched, model in both.items()}
    times: dict[bool, list[float]] = {False: [], True: []}
    end = perf_counter() + COST_SECONDS
    while perf_counter() < end:
        for watched, observe in runs.items():
            observe()
            began = perf_counter()
            observe()
            times[watched].append(perf_counter() - began)
    return float(np.median(np.array(times[True]) / np.array(times[False])))


def table(found: list[dict[str, Any]]) -> str:
    """Conditions that are not found in nearly all windows of either version."""
    names = list(dict.fromkeys(one["model"] for one in found))
    by_key = {(one["model"], one["watched"]): one["shares"] for one in found if "shares" in one}
    costs = {one["model"]: one["cost"] for one in found if "cost" in one}
    heads = [f"`{name}`: {size} rows | with positions" for name in names for size in SIZES]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---|---|" * len(heads)]

    def cells(condition: str) -> list[float]:
        return [by_key[name, watched][condition][at] for name in names for at in (0, 1) for watched in (False, True)]

    conditions_ = list(by_key[names[0], False])
    shown = [one for one in conditions_ if one == "undisturbed" or min(cells(one)) < 0.99]
    lines += [
        f"| {one} | "
        + " | ".join(f"{share:.1%}" if one == "undisturbed" else f"{share:.0%}" for share in cells(one))
        + " |"
        for one in shown
    ]
    rest = [one for one in conditions_ if one not in shown]
    mean = [f"{np.mean(values):.0%}" for values in zip(*(cells(one) for one in rest), strict=True)]
    lines.append(f"| {len(rest)} others | " + " | ".join(mean) + " |")
    lines.append(
        "| time of observing | " + " | ".join(f"1 | {costs[name]:.2f}" for name in names for _ in SIZES) + " |"
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_options(parser, ("convnet", "resnet"))
    parser.add_argument("--write", type=Path, help="page to put the table into")
    options = parser.parse_args()
    if options.model:
        parent, images = Model.of(read_model(options.model, options.resnet)), TestImages(options.data_dir)
        found = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
        of_model = [one for one in found if one["model"] == options.model]
        done = {one["watched"] for one in of_model if "shares" in one}
        for watched in {False, True} - done:
            shares = measure(version(parent, images, positions=watched), images)
            found.append({"model": options.model, "watched": watched, "shares": shares})
            RESULTS.write_text(json.dumps(found, indent=1) + "\n")
        if not any("cost" in one for one in of_model):
            both = {watched: version(parent, images, positions=watched) for watched in (False, True)}
            found.append({"model": options.model, "cost": cost(both)})
            RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    text = table(json.loads(RESULTS.read_text()))
    print(text)
    if options.write:
        write_between(options.write, "drift_positions", text)


if __name__ == "__main__":
    main()
