"""Re-calibrating from the part of the rows that has moved: what it gains beside all rows, and beside that part alone.

    python -m benchmarks.moved_rows --data-dir data/mnist [--model mlp convnet] [--tuning] [--write PAGE]

For each corruption of `benchmarks.unseen_corruptions`, in both severities, 512 rows of which a half or a quarter is
shifted and the others are clean. A version is made from the rows that are told to have moved, one from all rows, and
one from the shifted rows alone, which nobody knows in practice. Their accuracy is measured on 500 other shifted rows,
that of the parent and of the version from all rows on 500 clean ones as well. Means are over the conditions whose rows
are told apart. `--tuning` has `benchmarks.corruptions` instead, on which the bound of the error was chosen.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import corruptions, unseen_corruptions
from benchmarks.auto.__main__ import make_pool
from benchmarks.auto.week import Images
from benchmarks.domains import MEASURED, SEED, Classes, Network, shifts
from benchmarks.mixtures import choose, mix
from benchmarks.mnist_models import STARTERS
from benchmarks.pages import write_between
from models import starter
from models.errors import InvalidInput, ParityError
from models.recalibration.estimate import recalibrate

ROWS = 512
PARTS = (0.5, 0.25)


class Result(NamedTuple):
    """Of one condition: accuracies in percent."""

    is_published: bool
    parent: float
    from_all: float
    from_moved: float
    from_shifted: float
    clean_parent: float
    clean_from_all: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, default=Path("data/mnist"))
    parser.add_argument("--model", choices=STARTERS, nargs="+", default=STARTERS)
    parser.add_argument("--tuning", action="store_true", help="the corruptions that the bound was chosen on")
    parser.add_argument("--write", type=Path, help="page with the two marker comments")
    options = parser.parse_args()
    pool = make_pool(options.data_dir)
    lines = [*_head()]
    for name in options.model:
        for part in PARTS:
            results = [*_results(Network(starter.read(name)), pool.clean, pool.labels, part, tuning=options.tuning)]
            lines.append(_row(name, part, results))
            print(lines[-1], flush=True)
    if options.write:
        write_between(options.write, "moved_rows", "\n".join(lines))


def _results(network: Network, clean: Images, labels: Classes, part: float, *, tuning: bool) -> Iterator[Result | None]:
    """Of each condition; None where the rows are not told apart."""
    (spec,) = network.bundle.manifest.inputs
    corrupt = corruptions.corrupt if tuning else unseen_corruptions.corrupt
    chosen = choose(ROWS, part)

    def accuracy(version: Network, images: Images) -> float:
        return 100 * float((version.classes(images[MEASURED]) == labels[MEASURED]).mean())

    for kind, severity in shifts(tuning=tuning):
        shifted = corrupt(clean, kind, severity, SEED)
        mixed = mix(clean[:ROWS], shifted, part)
        rows = {spec.name: mixed.reshape(-1, *spec.shape[1:])}
        try:
            candidate = recalibrate(network.bundle, 1, rows, only_moved=True)
            from_all, from_shifted = network.version_for(mixed), network.version_for(shifted[chosen])
        except (InvalidInput, ParityError) as error:
            print(f"{kind} {severity}: {error}", flush=True)
            yield None
            continue
        yield Result(
            not candidate.failed_gates,
            accuracy(network, shifted),
            accuracy(from_all, shifted),
            accuracy(Network(candidate.bundle), shifted),
            accuracy(from_shifted, shifted),
            accuracy(network, clean),
            accuracy(from_all, clean),
        )


def _head() -> Iterator[str]:
    yield (
        "| | shifted | told apart | published | accuracy on shifted rows: parent | from all rows "
        "| **from those that have moved** | from the shifted rows alone | at worst, beside alone "
        "| clean rows: parent | from all rows |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"


def _row(name: str, part: float, results: Sequence[Result | None]) -> str:
    found = [result for result in results if result is not None]
    published, *means = np.mean(found, axis=0)
    parent, from_all, from_moved, from_shifted, clean_parent, clean_from_all = means
    worst = min(result.from_moved - result.from_shifted for result in found)
    return (
        f"| `{name}` | {part:.0%} | {len(found)} of {len(results)} | {round(published * len(found))} | {parent:.1f} "
        f"| {from_all:.1f} | **{from_moved:.1f}** | {from_shifted:.1f} | {worst:+.1f} | {clean_parent:.1f} "
        f"| {clean_from_all:.1f} |"
    )


if __name__ == "__main__":
    main()
