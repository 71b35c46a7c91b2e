"""What the estimated accuracy of a window would be worth if it borrowed from the windows before it.

    python -m benchmarks.borrowed_windows --write docs/accuracy.md

From the windows of 64 rows that `benchmarks.alarms` has kept: streams of six windows of each corruption, in random
order, so that the accuracy changes abruptly. A window's estimate is the mean of its own and of those of up to three
windows before it, back to the last one that it differs from significantly: by more than the standard error of two
samples of rows, 1.645 times. The mean of the six, which is not known while they come, is the bound.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.mnist_models import MODELS
from benchmarks.pages import write_between

RESULTS = Path(__file__).parent / "results"
ROWS, WINDOWS, MOST, STREAMS = 64, 6, 4, 20
DEVIATIONS = 1.645
_LEAST_VARIANCE = 0.01


@dataclass(frozen=True)
class Window:
    """Estimated and true accuracy, 0 to 1."""

    estimate: float
    truth: float


def read(path: Path) -> dict[str, list[Window]]:
    """Windows by corruption."""
    found: dict[str, list[Window]] = defaultdict(list)
    for line in map(json.loads, path.read_text().splitlines()):
        if line["rows"] == ROWS and line["estimate"] is not None and line["condition"] != "writers":
            found[line["condition"]].append(Window(line["estimate"][0], line["usual"] - line["loss"]))
    return found


def borrow(estimates: Sequence[float]) -> list[float]:
    """The estimates with what each borrows from those before it."""
    kept: list[float] = []
    found = []
    for estimate in estimates:
        if kept:
            mean = float(np.mean(kept))
            p = (len(kept) * mean + estimate) / (len(kept) + 1)
            error = np.sqrt(max(p * (1 - p), _LEAST_VARIANCE) / ROWS * (1 + 1 / len(kept)))
            kept = [] if abs(estimate - mean) > DEVIATIONS * error else kept
        kept = [*kept, estimate][-MOST:]
        found.append(float(np.mean(kept)))
    return found


def errors(name: str) -> list[float]:
    """Mean errors in points: alone, borrowed, of the bound; of the first windows after a change: alone, borrowed."""
    windows = read(RESULTS / f"alarms_{name}_unseen.jsonl")
    every, first = [], []
    for seed in range(STREAMS):
        random = np.random.default_rng(seed)
        conditions = random.permutation(sorted(windows))
        stream = [
            windows[condition][index]
            for condition in conditions
            for index in random.permutation(len(windows[condition]))[:WINDOWS]
        ]
        truth, alone = (np.array([getattr(one, field) for one in stream]) for field in ("truth", "estimate"))
        bound = np.repeat(alone.reshape(-1, WINDOWS).mean(axis=1), WINDOWS)
        found = np.abs(np.array([alone, borrow(alone.tolist()), bound]) - truth)
        every.append(found.mean(axis=1))
        first.append(found[:2, WINDOWS::WINDOWS].mean(axis=1))
    return [100 * float(value) for part in (every, first) for value in np.mean(part, axis=0)]


def table() -> str:
    """The errors of all models."""
    head = "| | alone | borrowed | bound | first after a change, alone | borrowed |"
    lines = [f"| `{name}` | " + " | ".join(f"{error:.1f}" for error in errors(name)) + " |" for name in MODELS]
    return "\n".join([head, "|---" * 6 + "|", *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", type=Path, help="page whose table is written")
    options = parser.parse_args()
    print(table())
    if options.write:
        write_between(options.write, "borrowed_windows", table())


if __name__ == "__main__":
    main()
