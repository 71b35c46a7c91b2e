"""What `benchmarks.signs` has measured, and the tables of it."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks.mnist_models import MODELS

RESULTS = Path(__file__).parent / "results"
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
PRIORS = {"8": 8.0, "AdaBN": 0.0}
"""Fixed ones, that the estimated one is compared with."""


def read_lines(name: str, suffix: str = "") -> list[dict[str, Any]]:
    """The figures of each case of a model, with those of CBPE where they are known."""
    path, other = RESULTS / f"signs_{name}{suffix}.jsonl", RESULTS / f"cbpe_{name}.json"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    cbpe = json.loads(other.read_text()) if other.is_file() else {}
    return [line | cbpe.get(line["name"], {}) for line in lines]


def points(line: dict[str, Any], key: str) -> float:
    """The gain over the parent, in points; whole rows, so that no rounding decides what is more than half a point."""
    return round(100 * float(line[key] - line["before"]), 3)


def prior_table() -> str:
    parts = ["| | prior | corruptions, mean | clean | harmed > 0.5 point |", "|---|---|---|---|---|"]
    for name in MODELS:
        lines = read_lines(name)
        shifted = [line for line in lines if line["group"] == "corruption"]
        clean = [line for line in lines if line["group"] == "clean"]
        for title, key in (
            ("none: the parent", "before"),
            *((title, title) for title in PRIORS),
            ("estimated", "after"),
        ):
            harmed = sum(points(line, key) < -0.5 for line in shifted)
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
        lines = [line for line in read_lines(name, suffix) if line["group"] == group]
        if not lines:
            continue
        gains = np.array([points(line, "after") for line in lines])
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
        lines = [line for line in read_lines(name) if line["group"] in ("corruption", "clean")]
        clean = [line for line in lines if line["group"] == "clean"]

        def row(
            title: str,
            key: str,
            found: list[float],
            ends: list[list[float]] | None,
            at_clean: list[float],
            name: str = name,
            lines: list[dict[str, Any]] = lines,
        ) -> str:
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
