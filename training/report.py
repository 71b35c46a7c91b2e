"""Tables for the terminal."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.manifest import Channels, DriftReference, Gate, NormLayer, Parity, Placement


def confusion(counts: NDArray[np.int64], names: Sequence[str]) -> str:
    """What each class was taken for: one line for each true class, one column for each predicted one."""
    header = ["true \\ predicted", *names]
    return _table([header, *([name, *map(str, row)] for name, row in zip(names, counts.tolist(), strict=True))])


def layers(norm_layers: Sequence[NormLayer]) -> str:
    """Where each normalisation layer went, and the statistics it remembers."""
    header = ["layer", "channels", "mean", "variance", "placement"]
    lines = [
        [
            layer.name,
            str(layer.num_features),
            _range(layer.running_mean),
            _range(layer.running_var),
            _where(layer.placement),
        ]
        for layer in norm_layers
    ]
    folded = sum(layer.placement.kind != "kept" for layer in norm_layers)
    return f"{_table([header, *lines])}\n{folded} of {len(norm_layers)} folded"


def parity(checks: Parity) -> str:
    """The largest of the differences found."""
    worst = max(checks.comparisons, key=lambda comparison: comparison.max_relative)
    return (
        f"parity on {checks.rows} rows: {len(checks.comparisons)} comparisons within {checks.tolerance:g}, "
        f"the largest {worst.max_relative:.2g} ({worst.candidate}, against {worst.reference})"
    )


def thresholds(drift: DriftReference | None) -> str:
    """What drift alarms rest on."""
    if drift is None:
        return "drift alarms: uncalibrated, there are no held-out rows"
    largest = drift.windows[-1]
    return (
        f"drift alarms: from {drift.rows} held-out rows, for windows of up to {largest} rows; "
        f"larger ones take the thresholds of {largest}"
    )


def gates(found: Sequence[Gate]) -> str:
    """What a re-calibrated version was checked for."""
    header = ["gate", "figure", "at least", "at most", "", ""]
    lines = [
        [
            gate.name,
            _figure(gate.figure, "not finite"),
            _figure(gate.lower),
            _figure(gate.upper),
            "passed" if gate.passed else "FAILED",
            gate.about,
        ]
        for gate in found
    ]
    return _table([header, *lines])


def _figure(value: float | None, absent: str = "") -> str:
    return absent if value is None else f"{value:.4g}"


def _where(placement: Placement) -> str:
    if placement.kind == "kept":
        return f"kept: {placement.reason}"
    return f"{placement.kind.replace('_', ' ')} into {', '.join(placement.into)}"


def _range(values: Channels) -> str:
    return f"{min(values):.3g} .. {max(values):.3g}"


def _table(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
