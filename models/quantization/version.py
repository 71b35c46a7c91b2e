"""A published version -> its 8-bit version, compared with it and measured beside it.

Only what `predict` runs is another graph: the parent's source graph and observed graph are kept, so that the layers are
watched, judged by the same thresholds and re-calibrated as before.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from models.assemble import signed_lineage
from models.datatypes import Arrays
from models.errors import InvalidInput
from models.graph.editor import GraphEditor
from models.graph.load import parse, serialize
from models.graph.nodes import is_standard
from models.manifest import Gate, NormLayer, Parent, QuantizationRecord, Speed
from models.quantization.comparison import Comparison, compare
from models.quantization.equalize import equalize
from models.quantization.expected import expect
from models.quantization.limits import MIN_ROWS, TOLERANCE, RangesFrom
from models.quantization.measured import measure
from models.quantization.qdq import Quantized, quantize_graph
from models.quantization.speed import BATCHES, measure_speed, processor
from models.recalibration.candidate import Candidate
from models.recalibration.rows import LabelledRows, validate_labelled_rows
from models.repository import held_out
from models.repository.bundle import Bundle
from models.rows import random_rows, validate_rows

Step = Literal["estimating", "checking"]

MIN_RATIO = 1.05
"""Of the parent's time and the version's: less is not told from noise, and not worth a version."""

MAX_RANGE_ROWS = 256
_RANGE_SHARE = 4
"""One row in so many is for the ranges; the others are for the comparison."""


def quantize(
    parent: Bundle,
    version: int,
    rows: Arrays | None = None,
    labels: NDArray[np.int64] | None = None,
    *,
    ranges_from: RangesFrom = "rows",
    tolerance: float = TOLERANCE,
    seed: int = 0,
    on_step: Callable[[Step], None] = lambda _: None,
) -> Candidate:
    """Make the 8-bit version of a bundle, and check it. Nothing is published.

    Args:
        parent: the version to start from.
        version: its number.
        rows: for every input of the model, shape (n, ...), not those that it was trained on; by default the held-out
            rows of the bundle. Some of them give the ranges, the version is compared with its parent on the others.
        labels: the class of each of the rows, shape (n,).
        ranges_from: rows, or the layers' beta and gamma. Then all rows are for the comparison.
        tolerance: points that may be lost; see `models.quantization.comparison.Comparison`.
        seed: of the choice of rows for the ranges.
        on_step: called with each step when it begins.

    Raises:
        InvalidInput: the rows or labels are not the model's, or are too few; there are none to measure ranges on; the
            tolerance is negative; or the version computes in 8 bits already.
        GraphError: no layer can compute in 8 bits, or onnxruntime cannot run the graph on the rows.
    """
    if not 0 <= tolerance <= 100:
        raise InvalidInput(f"got {tolerance}, expected points of accuracy, 0 to 100", "tolerance")
    if any(is_standard(node, "DequantizeLinear") for node in parse(parent.folded).graph.node):
        raise InvalidInput(
            f"version {version} computes in 8 bits already: name the one that it was made from", "bundle"
        )
    on_step("estimating")
    split = _split(parent, rows, labels, ranges_from, seed)
    quantized = make_graph(parent, split.for_ranges)
    on_step("checking")
    graph = serialize(quantized.model)
    rows = split.for_comparison
    found = None if rows is None else compare(parent.manifest, parent.folded, graph, rows, split.labels)
    speeds = measure_speed(parent.folded, graph, rows or random_rows(parent.manifest.inputs, max(BATCHES), seed))
    record = _record(quantized, split, found, speeds, ranges_from)
    return Candidate.of(_bundle(parent, version, graph, record), _gates(found, speeds, tolerance))


@dataclass(frozen=True)
class _Split:
    """The rows for the ranges, and those for the comparison with their labels; None each where there are none."""

    for_ranges: Arrays | None
    for_comparison: Arrays | None
    labels: NDArray[np.int64] | None = None
    range_rows: int = 0


def _split(
    parent: Bundle, rows: Arrays | None, labels: NDArray[np.int64] | None, ranges_from: RangesFrom, seed: int
) -> _Split:
    manifest = parent.manifest
    if rows is None and parent.held_out is not None:
        rows = held_out.unpack(parent.held_out, manifest.inputs)
    if rows is None:
        if ranges_from == "rows":
            raise InvalidInput("the bundle has no held-out rows: give some, or take the ranges from batch_norm", "rows")
        return _Split(None, None)
    count = validate_rows(rows, manifest.inputs, "rows")
    if count < MIN_ROWS:
        raise InvalidInput(f"got {count}, expected {MIN_ROWS} or more", "rows")
    if labels is not None:
        validate_labelled_rows(LabelledRows(rows, labels), manifest)
    if ranges_from == "batch_norm":
        return _Split(None, rows, labels)
    order = np.random.default_rng(seed).permutation(count)
    number = min(count // _RANGE_SHARE, MAX_RANGE_ROWS)
    chosen, others = np.sort(order[:number]), np.sort(order[number:])
    return _Split(
        {name: values[chosen] for name, values in rows.items()},
        {name: values[others] for name, values in rows.items()},
        None if labels is None else labels[others],
        number,
    )


def make_graph(parent: Bundle, rows: Arrays | None) -> Quantized:
    """The equalised and quantised graph of a bundle, whatever it loses.

    Args:
        parent: the bundle.
        rows: to measure ranges on; None for ranges from batch normalisation.

    Raises:
        GraphError: no layer can compute in 8 bits, or onnxruntime cannot run the graph on the rows.
    """
    folded = parse(parent.folded)
    if rows is not None:
        equalized, _ = equalize(folded, measure(folded, rows))
        return quantize_graph(equalized, measure(equalized, rows))
    layers = unchanged_layers(parent, folded)
    statistics = expect(folded, layers, parent.manifest.preprocessing)
    equalized, factors = equalize(folded, statistics)
    scaled = {name: found.scaled(factors[name]) if name in factors else found for name, found in statistics.items()}
    return quantize_graph(equalized, scaled)


def unchanged_layers(parent: Bundle, folded: onnx.ModelProto) -> Sequence[NormLayer]:
    """The layers that can be read in the served graph as in the observed one: on no branch that was merged."""
    if parent.observed is None:
        return ()
    served, observed = GraphEditor(folded), GraphEditor(parse(parent.observed))
    return [layer for layer in parent.manifest.norm_layers if _is_same(served, observed, layer.placement.tensor)]


def _is_same(served: GraphEditor, observed: GraphEditor, tensor: str) -> bool:
    """Whether the same operator computes a tensor with the same constants."""
    one, other = served.producer(tensor), observed.producer(tensor)
    if one is None or other is None or one.op_type != other.op_type:
        return False
    pairs = zip(one.input, other.input, strict=False)
    constants = [(served.constant(mine), observed.constant(theirs)) for mine, theirs in pairs]
    return len(one.input) == len(other.input) and all(
        (mine is None) == (theirs is None) and (mine is None or theirs is None or np.array_equal(mine, theirs))
        for mine, theirs in constants
    )


def _record(
    quantized: Quantized, split: _Split, found: Comparison | None, speeds: tuple[Speed, ...], ranges_from: RangesFrom
) -> QuantizationRecord:
    return QuantizationRecord(
        ranges_from=ranges_from,
        rows=split.range_rows,
        layers=quantized.layers,
        float_layers=dict(quantized.left),
        ranges=dict(quantized.ranges),
        compared_rows=0 if found is None else found.rows,
        agreement=None if found is None else found.agreement,
        max_probability_difference=None if found is None else found.max_probability_difference,
        accuracy_before=None if found is None else found.accuracy_before,
        accuracy_after=None if found is None else found.accuracy_after,
        speeds=speeds,
        processor=processor(),
        gates=(),
    )


def _bundle(parent: Bundle, version: int, graph: bytes, record: QuantizationRecord) -> Bundle:
    manifest = parent.manifest
    skipped = "rounding to 8 bits is no parity: the lineage has what it changes"
    changes = {
        "parity": manifest.parity.model_copy(update={"rows": 0, "comparisons": (), "skipped": skipped}),
        "lineage": signed_lineage("quantized", Parent(model=manifest.model, version=version), quantization=record),
    }
    return replace(parent, folded=graph, manifest=manifest.model_copy(update=changes))


def _gates(found: Comparison | None, speeds: Sequence[Speed], tolerance: float) -> list[Gate]:
    about = "points of accuracy lost: by labels, else by the parent's probabilities; without classes, of the variance"
    if found is None:
        about = "points of accuracy lost: not known, since there are no rows to compare the versions on"
    loss = None if found is None or not np.isfinite(found.loss) else found.loss
    return [
        Gate(name="loss", about=about, figure=loss, upper=tolerance),
        *(
            Gate(
                name=f"speed_{speed.rows}",
                about=f"the parent's time for a run of {speed.rows} {'row' if speed.rows == 1 else 'rows'}, "
                "divided by this version's",
                figure=speed.ratio,
                lower=MIN_RATIO,
            )
            for speed in speeds
        ),
    ]
