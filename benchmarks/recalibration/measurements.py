"""What re-calibration changes in the accuracy of a model, and what the gates refuse."""

import itertools
import statistics
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from benchmarks.corruptions import CORRUPTIONS, corrupt
from benchmarks.recalibration.data import Data, framings
from benchmarks.recalibration.network import Model, Rows

SEVERITIES = (2, 4)
COUNTS = (64, 256)
PRIORS = (0.0, 8.0, 16.0, 64.0, 256.0)
ORACLE_ROWS = 2000
DRAWS = 3
REACH = ("brightness", "contrast", "noise", "blur")


def measured(model: Model, data: Data) -> dict[str, Any]:
    return {
        "clean": clean(model, data),
        "digits": digits(model),
        "few_classes": few_classes(model, data),
        "priors": priors(model, data),
        "regained": regained(model, data),
    }


def regained(model: Model, data: Data) -> list[dict[str, Any]]:
    lines = []
    for name, severity in itertools.product(CORRUPTIONS, SEVERITIES):
        rows = corrupt(data.pool[:ORACLE_ROWS], name, severity, seed=2)
        measured = corrupt(data.measured, name, severity, seed=3)
        line: dict[str, Any] = {
            "corruption": name,
            "severity": severity,
            "before": model.right_before(measured, data.labels),
            "torch_2000": model.by_torch(rows)(measured, data.labels),
        }
        for count in COUNTS:
            found = [model.recalibrated(rows[start * count : (start + 1) * count]) for start in range(DRAWS)]
            after = [model.classifier(candidate.bundle)(measured, data.labels) for candidate in found]
            line[f"after_{count}"] = statistics.fmean(after)
            line[f"passed_{count}"] = sum(not candidate.failed_gates for candidate in found)
            line[f"failed_{count}"] = sorted({gate.name for candidate in found for gate in candidate.failed_gates})
        print(model.name, line, flush=True)
        lines.append(line)
    return lines


def clean(model: Model, data: Data) -> list[dict[str, Any]]:
    lines = []
    before = model.right_before(data.measured, data.labels)
    for count in COUNTS:
        found = [model.recalibrated(data.draw(count, seed)) for seed in range(10)]
        after = [model.classifier(candidate.bundle)(data.measured, data.labels) for candidate in found]
        passed = [value for value, candidate in zip(after, found, strict=True) if not candidate.failed_gates]
        lines.append(
            {
                "rows": count,
                "draws": len(found),
                "passed": len(passed),
                "before": before,
                "after": statistics.fmean(after),
                "after_worst": min(after),
            }
        )
        print(model.name, lines[-1], flush=True)
    return lines


def few_classes(model: Model, data: Data) -> list[dict[str, Any]]:
    lines = []
    before = model.right_before(data.measured, data.labels)
    for size in (1, 2, 5):
        mixes = list(itertools.combinations(range(10), size))
        mixes = mixes if size < 5 else mixes[::25]
        found = {mix: model.recalibrated(data.draw(256, 4, mix)) for mix in mixes}
        after = [model.classifier(candidate.bundle)(data.measured, data.labels) for candidate in found.values()]
        lines.append(
            {
                "classes": size,
                "mixes": len(mixes),
                "refused": sum(bool(candidate.failed_gates) for candidate in found.values()),
                "by": {
                    name: sum(name in {gate.name for gate in candidate.failed_gates} for candidate in found.values())
                    for name in ("diversity", "information", "label_shift", "agreement")
                },
                "before": before,
                "after_worst": min(after),
                "passed_worst": min(
                    (
                        value
                        for value, candidate in zip(after, found.values(), strict=True)
                        if not candidate.failed_gates
                    ),
                    default=None,
                ),
            }
        )
        print(model.name, lines[-1], flush=True)
    return lines


def priors(model: Model, data: Data) -> list[dict[str, Any]]:
    shifted = {name: (corrupt(data.pool[:256], name, 3, 2), corrupt(data.measured, name, 3, 3)) for name in REACH}
    lines = []
    for prior, count in itertools.product(PRIORS, COUNTS):

        def right(rows: Rows, measured: Rows, prior: float = prior) -> float:
            return model.classifier(model.recalibrated(rows, prior).bundle)(measured, data.labels)

        ones = [right(data.draw(256, 4, [one]), data.measured) for one in range(10)] if count == 256 else []
        lines.append(
            {
                "prior": prior,
                "rows": count,
                "shifted": statistics.fmean(right(rows[:count], measured) for rows, measured in shifted.values()),
                "clean": statistics.fmean(right(data.draw(count, seed), data.measured) for seed in range(5)),
                "one_class_worst": min(ones, default=None),
            }
        )
        print(model.name, lines[-1], flush=True)
    return lines


def digits(model: Model) -> list[dict[str, Any]]:
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(5).permutation(len(labels))
    lines = []
    for title, images in framings(pixels.reshape(-1, 8, 8) / 16):
        images, truth = images[order], labels[order].astype(np.int64)  # noqa: PLW2901
        line: dict[str, Any] = {"framing": title, "before": model.right_before(images[256:], truth[256:])}
        for count in COUNTS:
            candidate = model.recalibrated(images[:count])
            line[f"after_{count}"] = model.classifier(candidate.bundle)(images[256:], truth[256:])
            line[f"failed_{count}"] = [gate.name for gate in candidate.failed_gates]
        line["torch_all"] = model.by_torch(images)(images[256:], truth[256:])
        print(model.name, line, flush=True)
        lines.append(line)
    return lines
