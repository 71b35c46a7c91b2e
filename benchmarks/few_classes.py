"""Are rows of few classes refused where they come from another source than the training rows?

    python -m benchmarks.few_classes --model mlp [--resnet REPOSITORY] [--draws 90] [--write docs/recalibration.md]

The digits of scikit-learn, in frames of several widths: a version is re-calibrated without labels from images of one
digit, of two, or of a long tail, in which each digit is half as frequent as the one before. None should be published:
statistics of few classes harm all others. "Harm" is what such a version loses on these very rows. Bounds were chosen
with a look at the wider frames; digits of 14 x 14 pixels are for the final figures. Figures are kept in
benchmarks/results/few_classes_<model>.jsonl, and `--write` alone writes those of all models.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from benchmarks.cases import CaseModel
from benchmarks.mnist_models import MODELS, add_options, read_model
from benchmarks.pages import write_between
from benchmarks.recalibration.data import enlarge
from benchmarks.signs_results import RESULTS

MIXES = {"one class": 1, "two classes": 2, "long tail": 10}
"""Digits that there are."""

CASES = ((14, 64, 1), (14, 150, 1), (20, 64, 3), (24, 64, 3), (28, 64, 3))
"""Pixels that an image fills of the 28 of a frame, rows that are estimated from, and what the draws are divided by."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_options(parser)
    parser.add_argument("--draws", type=int, default=90)
    parser.add_argument("--write", type=Path, help="page with the two marker comments")
    options = parser.parse_args()
    if options.model:
        found = list(_measure(CaseModel(read_model(options.model, options.resnet)), options.draws))
        _path(options.model).write_text("".join(json.dumps(one) + "\n" for one in found))
        print("\n".join(_table([options.model])))
    if options.write:
        write_between(
            options.write, "few_classes", "\n".join(_table([name for name in MODELS if _path(name).is_file()]))
        )


def _measure(model: CaseModel, draws: int) -> Iterator[dict[str, Any]]:
    pixels, labels = load_digits(return_X_y=True)
    for side, rows, part in CASES:
        images = enlarge(pixels.reshape(-1, 8, 8) / 16, side)
        for mix, classes in MIXES.items():
            for draw in range(draws // part):
                chosen = _draw(labels, rows, classes, draw)
                version, found = model.evaluate(images[chosen])
                before, after = (
                    float(np.mean(model.classes(each.folded, images[chosen]) == labels[chosen]))
                    for each in (model.bundle, version)
                )
                line: dict[str, Any] = {"side": side, "rows": rows, "mix": mix, "draw": draw}
                line["failed"] = [gate.name for gate in found.gates if not gate.passed]
                yield line | {"before": before, "after": after}


def _draw(labels: NDArray[np.int64], rows: int, classes: int, draw: int) -> NDArray[np.int64]:
    """Positions of rows of some classes, each digit in turn the first of them: in equal shares, or in a long tail."""
    random = np.random.default_rng([draw, rows, classes])
    others = np.delete(np.arange(10), draw % 10)
    order = [draw % 10, *random.choice(others, classes - 1, replace=False)]
    shares = np.zeros(10)
    shares[order] = 1.0 if classes < len(shares) else 0.5 ** np.arange(classes)
    weights = shares[labels]
    return random.choice(len(labels), rows, replace=False, p=weights / weights.sum())


def _table(models: list[str]) -> Iterator[str]:
    yield f"| | digits, pixels | rows | {' | '.join(MIXES)} |"
    yield f"|---|---|---:{'|---' * len(MIXES)}|"
    for name in models:
        lines = [json.loads(line) for line in _path(name).read_text().splitlines()]
        for side, rows, _ in CASES:
            cells = [
                _cell([line for line in lines if (line["side"], line["rows"], line["mix"]) == (side, rows, mix)])
                for mix in MIXES
            ]
            yield f"| `{name}` | {side} x {side} | {rows} | {' | '.join(cells)} |"


def _cell(lines: list[dict[str, Any]]) -> str:
    lost = [100 * (line["before"] - line["after"]) for line in lines if not line["failed"]]
    harmful = [points for points in lost if points > 0.5]
    worst = f"; {len(harmful)} harm, {-max(harmful):+.0f} at worst" if harmful else ""
    return f"{len(lost)} of {len(lines)}{worst}"


def _path(model: str) -> Path:
    return RESULTS / f"few_classes_{model}.jsonl"


if __name__ == "__main__":
    main()
