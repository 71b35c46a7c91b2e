"""Tables for the terminal."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.manifest import (
    AccuracyEstimate,
    Channels,
    DriftReference,
    Gate,
    HalfWeights,
    Manifest,
    NormLayer,
    Parity,
    Placement,
    QuantizationRecord,
    WatchedLayer,
)


def bundle(manifest: Manifest) -> str:
    """What was made of a network or file: its layers, the parity of its graphs, the thresholds of its alarms."""
    lines = [
        layers(manifest.norm_layers),
        *watched(manifest.watched_layers),
        parity(manifest.parity),
        *half_weights(manifest.half_weights),
        thresholds(manifest.drift),
        *(f"not possible: {capability.replace('_', ' ')}: {reason}" for capability, reason in manifest.limits.items()),
        *(f"warning: {warning}" for warning in manifest.warnings),
    ]
    if manifest.training is not None and "test_accuracy" in manifest.training.metrics:
        accuracy = manifest.training.metrics["test_accuracy"]
        lines.insert(0, f"test accuracy with population statistics {accuracy:.2%}")
    return "\n".join(lines)


def confusion(counts: NDArray[np.int64], names: Sequence[str]) -> str:
    """Rows by true and predicted class: a line for each true class, a column for each predicted one."""
    header = ["true \\ predicted", *names]
    return _table([header, *([name, *map(str, row)] for name, row in zip(names, counts.tolist(), strict=True))])


def layers(norm_layers: Sequence[NormLayer]) -> str:
    """The statistics of each batch-normalisation layer, and what it was folded into."""
    if not norm_layers:
        return "no batch-normalisation layers"
    header = ["layer", "channels", "mean", "variance", "placement"]
    lines = [
        [
            layer.name,
            str(layer.num_features),
            _range(layer.running_mean),
            _range(layer.running_var),
            _place(layer.placement),
        ]
        for layer in norm_layers
    ]
    folded = sum(layer.placement.kind != "kept" for layer in norm_layers)
    return f"{_table([header, *lines])}\n{folded} of {len(norm_layers)} folded"


def watched(others: Sequence[WatchedLayer]) -> Sequence[str]:
    """The layers of other kinds that are observed, or why one is not."""
    header = ["layer", "kind", "channels", "observed"]
    lines = [[layer.name, layer.kind, str(layer.num_features), layer.unwatched or "yes"] for layer in others]
    return [_table([header, *lines])] if others else []


def parity(checks: Parity) -> str:
    """The number of comparisons, and the largest difference of them."""
    if checks.skipped is not None:
        return f"parity: nothing was compared: {checks.skipped}"
    worst = max(checks.comparisons, key=lambda comparison: comparison.max_relative)
    return (
        f"parity on {checks.rows} rows: {len(checks.comparisons)} comparisons within {checks.tolerance:g}, "
        f"the largest {worst.max_relative:.2g} ({worst.candidate}, against {worst.reference})"
    )


def half_weights(found: HalfWeights | None) -> Sequence[str]:
    """What storing the weights in half precision has changed."""
    if found is None:
        return []
    classes = "" if found.agreement is None else f"{found.agreement:.2%} of the classes stay, "
    changed = f"{classes}outputs differ by up to {found.max_relative:.2g} of the largest"
    return [f"{found.weights} weights in half precision, on {found.rows} rows: {changed}"]


def thresholds(drift: DriftReference | None) -> str:
    """What the thresholds of drift alarms were estimated from."""
    if drift is None:
        return "drift alarms: no thresholds, since there are no held-out rows"
    largest = drift.windows[-1]
    return (
        f"drift alarms: thresholds from {drift.rows} held-out rows for windows of up to {largest} rows; "
        f"larger windows use those of {largest} rows"
    )


def gates(found: Sequence[Gate]) -> str:
    """The figures of a new version and the bounds that they must keep."""
    header = ["gate", "figure", "at least", "at most", "", ""]
    lines = [
        [
            gate.name,
            _figure(gate.figure, "not finite"),
            _figure(gate.lower),
            _figure(gate.upper),
            "passed" if gate.passed else "outvoted" if gate.outvoted else "FAILED",
            gate.about,
        ]
        for gate in found
    ]
    return _table([header, *lines])


def quantization(record: QuantizationRecord) -> str:
    """What computes in 8 bits, and how the version compares with its parent."""
    origin = f"{record.rows} rows" if record.ranges_from == "rows" else "the layers' beta and gamma"
    lines = [
        f"{record.layers} layers in 8 bits, {len(record.float_layers)} in float; ranges from {origin}",
        *(f"in float: {node}: {reason}" for node, reason in record.float_layers.items()),
    ]
    if record.agreement is not None:
        lines.append(
            f"on {record.compared_rows} rows: the parent's class in {record.agreement:.2%}, "
            f"probabilities within {record.max_probability_difference:.3g}"
        )
    if record.accuracy_before is not None:
        lines.append(f"accuracy: before {record.accuracy_before:.2%}, after {record.accuracy_after:.2%}")
    header = ["rows a run", "parent, ms", "8 bits, ms", "ratio"]
    speeds = [
        [str(speed.rows), f"{speed.parent_ms:.3f}", f"{speed.own_ms:.3f}", f"{speed.ratio:.2f}"]
        for speed in record.speeds
    ]
    return "\n".join([*lines, _table([header, *speeds])])


def estimated_accuracy(before: AccuracyEstimate | None, after: AccuracyEstimate | None) -> str:
    """The estimated accuracies of the parent and of the new version on the rows."""
    if before is None or after is None:
        return "estimated accuracy on the rows: not known"
    return f"estimated accuracy on the rows: before {before}, after {after}"


def rows_to_label(rows: Sequence[int]) -> str:
    """The rows that the versions disagree on, by index."""
    return f"labels that would tell which version is better: those of the rows {', '.join(map(str, rows))}"


def _figure(value: float | None, absent: str = "") -> str:
    return absent if value is None else f"{value:.4g}"


def _place(placement: Placement) -> str:
    if placement.kind == "kept":
        return f"kept, {'neither side can take it' if placement.proven else 'no fold known'}: {placement.reason}"
    return f"{placement.kind.replace('_', ' ')} into {', '.join(placement.into)}"


def _range(values: Channels) -> str:
    return f"{min(values):.3g} .. {max(values):.3g}"


def _table(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
