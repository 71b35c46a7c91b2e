"""How often undisturbed windows are significant, on rows that the thresholds have not seen.

Twice: with the thresholds that the models were published with, on the test rows that did not set them; and
over many random partings of all test rows into rows that set thresholds and rows that are judged, since what chance
put into the one parting of the first is common to all its windows.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.rows import Indices, Model, Rows, TestImages, windows
from models.drift import calibration
from models.drift.detector import Detector

SIZES = (16, 64, 256, 1024)
RATES = (0.05, 0.01, 0.001)
WINDOWS = 1000
PARTINGS, WINDOWS_EACH = 10, 200

Flags = NDArray[np.bool_]
"""Shape (windows, rates + 1)."""

MOST = 0.9
"""Share of the partings for whose thresholds a rate is stated as that of most."""


def measure(images: TestImages, models: Sequence[Model]) -> list[dict[str, Any]]:
    found = []
    for model in models:
        rows = model.observe(images.images)
        random = np.random.default_rng(11)
        published = _judged(Detector(model.reference), rows, images.others, WINDOWS, random)
        parted: dict[int, list[Flags]] = {size: [] for size in SIZES}
        for parting in range(PARTINGS):
            order = random.permutation(len(rows.logits))
            held_out, others = order[: len(images.reference)], order[len(images.reference) :]
            known = rows.take(held_out)
            reference = calibration.estimate(known.layers, known.predicted, rows.logits.shape[1], seed=parting)
            judged = _judged(Detector(reference), rows, others, WINDOWS_EACH, random)
            for size, flags in judged.items():
                parted[size].append(flags)
        for size in SIZES:
            of_partings = np.array([flags.mean(axis=0) for flags in parted[size]])
            shares = of_partings.mean(axis=0)
            errors = of_partings.std(axis=0, ddof=1) / np.sqrt(PARTINGS)
            for index, rate in enumerate(RATES):
                found.append(
                    {
                        "model": model.name,
                        "rows": size,
                        "rate": rate,
                        "windows": WINDOWS,
                        "published": float(published[size].mean(axis=0)[index]),
                        "partings": PARTINGS,
                        "parted": float(shares[index]),
                        "parted_error": float(errors[index]),
                        "most": float(np.quantile(of_partings[:, index], MOST)),
                    }
                )
            found.append(
                {
                    "model": model.name,
                    "rows": size,
                    "alarms_published": float(published[size][:, -1].mean()),
                    "alarms_parted": float(shares[-1]),
                }
            )
    return found


def _judged(detector: Detector, rows: Rows, pool: Indices, count: int, random: np.random.Generator) -> dict[int, Flags]:
    """For each window, whether it is significant at each rate, and whether it is an alarm at 1 %."""
    judged = {}
    for size in SIZES:
        flags = []
        for chosen in windows(pool, size, count, random):
            window = rows.take(chosen).window()
            found = detector.assess(*window, 0.01)
            flags.append([*(found.p_value <= rate for rate in RATES), found.alarm])
        judged[size] = np.array(flags)
    return judged


def table(found: list[dict[str, Any]]) -> str:
    lines = [
        "| model | rows | at 5 % | at 1 % | at 0.1 % | at 1 %, in 9 of 10 splits at most | alarms at 1 % "  # noqa: ISC004
        "| published thresholds, at 1 % | alarms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    rates = {(one["model"], one["rows"], one["rate"]): one for one in found if "rate" in one}
    for one in found:
        if "alarms_parted" in one:
            key = one["model"], one["rows"]
            by_rate = [rates[*key, rate] for rate in RATES]
            cells = [f"{each['parted']:.1%} ± {1.96 * each['parted_error']:.1%}" for each in by_rate]
            published = f"{by_rate[1]['published']:.1%}"
            lines.append(
                f"| `{key[0]}` | {key[1]} | {' | '.join(cells)} | {by_rate[1]['most']:.1%} "
                f"| {one['alarms_parted']:.1%} | {published} | {one['alarms_published']:.1%} |"
            )
    return "\n".join(lines)
