"""The gate `mixture` alone: rows that have all moved, and rows of which a part has.

    python -m benchmarks.mixtures --data-dir data/mnist [--model mlp convnet] [--tuning]

For each corruption of `benchmarks.unseen_corruptions`, in both severities, 256 rows of which all, three quarters or
half are shifted and the others are clean; and rows of which a part is letters, or one random image. Printed is how many
of them the gate refuses, and how many it would by the drift that remains without unusual rows alone, as where no
held-out rows are kept. A drift below 0.02 is left out. `--tuning` has `benchmarks.corruptions` instead, on which its
bounds were chosen.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import corruptions, foreign_rows, unseen_corruptions
from benchmarks.auto.__main__ import make_pool
from benchmarks.auto.week import Images
from benchmarks.domains import SEED, shifts
from benchmarks.mnist_models import STARTERS
from models import starter
from models.graph.load import parse
from models.recalibration import gates
from models.recalibration.adaptation import AdaptiveNetwork
from models.recalibration.evaluation import Estimation, evaluate_mixture, usual_rows
from models.repository.bundle import Bundle

ROWS = 256
PARTS = (1.0, 0.75, 0.5)


def choose(count: int, part: float) -> NDArray[np.int64]:
    """Indices of a part of some rows, in random order and always the same."""
    return np.random.default_rng(0).permutation(count)[: round(part * count)]


def mix(clean: Images, other: Images, part: float) -> Images:
    """Clean rows of which a part is replaced by the others of the same place."""
    chosen = choose(len(clean), part)
    mixed = clean.copy()
    mixed[chosen] = other[chosen]
    return mixed


def cases(clean: Images, *, tuning: bool) -> Iterator[tuple[str, Images]]:
    """Groups of rows, and the rows."""
    corrupt = corruptions.corrupt if tuning else unseen_corruptions.corrupt
    for kind, severity in shifts(tuning=tuning):
        shifted = corrupt(clean, kind, severity, SEED)
        for part in PARTS:
            yield f"{part:.0%} shifted", mix(clean, shifted, part)
    image = np.random.default_rng(3).random(clean.shape[1:]).astype(np.float32)
    for part in (0.3, 0.5):
        yield "30 or 50 % letters", mix(clean, foreign_rows.letters(len(clean), 3), part)
        yield "30 or 50 % one image", mix(clean, np.broadcast_to(image, clean.shape), part)


class Measurement:
    """The gate of one parent."""

    def __init__(self, parent: Bundle) -> None:
        self._parent = parent
        self._network = AdaptiveNetwork(parse(parent.source))

    def refused(self, images: Images) -> tuple[bool, bool] | None:
        """Whether the gate refuses, and whether it did by the remaining drift alone; None for a drift that is small."""
        (spec,) = self._parent.manifest.inputs
        rows = {spec.name: images.reshape(-1, *spec.shape[1:])}
        before = self._network.run(rows, 1.0)
        drift = self._network.divergence(before.batch, before.mixed)
        if drift < gates.SMALL_DRIFT:
            return None
        estimation = Estimation(rows, self._network, before, before)
        found = (evaluate_mixture(self._parent, estimation, drift, kept) for kept in (usual_rows(self._parent), None))
        now, without = (not gate.passed for gate in found)
        return now, without


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, default=Path("data/mnist"))
    parser.add_argument("--model", choices=STARTERS, nargs="+", default=STARTERS)
    parser.add_argument("--tuning", action="store_true", help="the corruptions that the bounds were chosen on")
    options = parser.parse_args()
    clean = make_pool(options.data_dir).clean[:ROWS]
    print("| | rows | refused | by the remaining drift alone |\n|---|---|---|---|")
    for name in options.model:
        measurement = Measurement(starter.read(name))
        found: dict[str, list[tuple[bool, bool]]] = {}
        for group, images in cases(clean, tuning=options.tuning):
            if (refused := measurement.refused(images)) is not None:
                found.setdefault(group, []).append(refused)
        for group, results in found.items():
            now, before = np.sum(results, axis=0)
            print(f"| `{name}` | {group} | {now} of {len(results)} | {before} |", flush=True)


if __name__ == "__main__":
    main()
