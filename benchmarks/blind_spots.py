"""Which corruptions drift alarms do not find in 64 rows, what accuracy these cost, and what the layer `margin` finds.

    python -m benchmarks.blind_spots --data-dir data/mnist --model mlp --write docs/drift.md
    python -m benchmarks.blind_spots --data-dir data/mnist --model resnet --resnet REPOSITORY --write docs/drift.md

The conditions and windows of `benchmarks.image`, with and without the layer `margin`, and without `image`. The
accuracy is measured on the images that the windows are drawn from, and the time as there. The figures of a model are
kept in benchmarks/results/blind_spots.json.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import image
from benchmarks.drift.by_model import run
from benchmarks.drift.rows import Images, Model, TestImages
from benchmarks.mnist_models import MODELS

RESULTS = Path(__file__).parent / "results" / "blind_spots.json"
FOUND = 0.99
"""Share of the windows, for a corruption to count as found."""

WAYS = {"found": False, "with margin": True}
"""Whether the margin is watched, by title."""


def measure(model: Model, images: TestImages) -> None:
    """Keep the share of windows found, and the points of accuracy lost, by condition."""
    chosen = image.choose_images(images)
    clean = images.images[chosen]

    def accuracy(rows: Images) -> float:
        return float(np.mean(model.observe(rows).predicted == images.labels[chosen]))

    usual = accuracy(clean)
    line: dict[str, Any] = {"model": model.name, "lost": {"undisturbed": 0.0}}
    for condition, corrupt in image.conditions(clean).items():
        line["lost"][condition] = 100 * (usual - accuracy(corrupt()))
    versions = {margin: image.version(model, images, margin=margin) for margin in WAYS.values()}
    line |= {title: image.shares(versions[margin], images) for title, margin in WAYS.items()}
    line["cost"] = image.cost(versions[False], versions[True])
    lines = [*(one for one in _read() if one["model"] != model.name), line]
    lines.sort(key=lambda one: MODELS.index(one["model"]))
    RESULTS.write_text(json.dumps(lines, indent=1) + "\n")


def _read() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
    return found


def table() -> str:
    """The corruptions that are not found in nearly all windows of 64 rows of all networks."""
    measured = _read()

    def share(one: dict[str, Any], title: str, condition: str) -> float:
        return float(one[title][condition][-1])

    heads = [head for one in measured for head in (f"`{one['model']}`: points lost", *WAYS)]
    lines = [f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    corrupted = [condition for condition in measured[0]["lost"] if condition != "undisturbed"]
    missed = [each for each in corrupted if min(share(one, title, each) for one in measured for title in WAYS) < FOUND]
    for condition in ("undisturbed", *missed):
        cells = [
            cell
            for one in measured
            for cell in (
                f"{one['lost'][condition]:.1f}",
                *(f"{share(one, title, condition):.{int(condition == 'undisturbed')}%}" for title in WAYS),
            )
        ]
        lines.append(f"| {condition} | {' | '.join(cells)} |")
    counts = [
        cell
        for one in measured
        for cell in ("", *(str(sum(share(one, title, each) >= FOUND for each in corrupted)) for title in WAYS))
    ]
    lines.append(f"| found, of {len(corrupted)} | {' | '.join(counts)} |")
    costs = [cell for one in measured for cell in ("", "1", f"{one['cost']:.2f}")]
    lines.append(f"| time of observing {image.COST_ROWS} rows | {' | '.join(costs)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run(__doc__.partition("\n")[0], measure, {"drift_blind_spots": table})
