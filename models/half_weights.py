"""A bundle -> the same bundle with its weights in half precision: half its size, computed with in float32 as before.

The graphs of the bundle have been compared in float32, so that a fault of folding is found at the usual tolerances.
Here only the rounding of the weights is measured: the served graph before and after. Thresholds of drift alarms are
estimated again, since the layers are now computed from the rounded weights.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from models.classification import predicted_classes
from models.datatypes import Arrays
from models.errors import GraphError, ParityError
from models.graph.half import store_halved
from models.graph.weights import WeightFiles
from models.manifest import HalfWeights, Manifest, NormLayer
from models.parity.comparison import Difference
from models.reference import estimate_reference
from models.repository.bundle import FOLDED_WEIGHTS, OBSERVED_WEIGHTS, SOURCE_WEIGHTS, Bundle
from models.rows import count_rows, random_rows
from models.runtime.load import load
from models.stored_graph import SerializedGraph

MIN_AGREEMENT = 0.999
"""Of the classes: below 1,000 rows, all must stay."""

MAX_RELATIVE = 1e-2
"""Largest difference of an output, relative to its largest value: 20 times what rounding changes, 2^-11."""

_MAX_ROWS = 1024
_BATCH_ROWS = 64
_RANDOM_BATCHES = 4


def halve(bundle: Bundle, rows: Arrays | None) -> Bundle:
    """The bundle with its weights in half precision.

    Args:
        bundle: with weights in float32.
        rows: that the network was not trained on, for every input, shape (n, ...). The first 1,024 are compared; 256
            random ones where there are none, and 4 random inputs of a model without a batch axis.

    Raises:
        GraphError: no weight can be rounded.
        ParityError: the rounded weights change the answers by more than `MIN_AGREEMENT` and `MAX_RELATIVE` allow.
    """
    files = WeightFiles()
    source, _ = store_halved(bundle.source, files, SOURCE_WEIGHTS)
    folded, rounded = store_halved(bundle.folded, files, FOLDED_WEIGHTS)
    observed = None if bundle.observed is None else store_halved(bundle.observed, files, OBSERVED_WEIGHTS)[0]
    if not rounded:
        raise GraphError("half precision saves nothing: no float32 weight of 1 KiB and two axes can be rounded")
    manifest = bundle.manifest
    found = _Changes.between(bundle.folded, folded, manifest, rows)
    found.validate()
    layers, drift = estimate_reference(observed, manifest.layers, manifest.outputs[0], rows)
    changes = {
        "half_weights": found.record(rounded),
        "norm_layers": tuple(layer for layer in layers if isinstance(layer, NormLayer)),
        "watched_layers": tuple(layer for layer in layers if not isinstance(layer, NormLayer)),
        "drift": drift,
    }
    return replace(
        bundle, manifest=manifest.model_copy(update=changes), source=source, folded=folded, observed=observed
    )


@dataclass(frozen=True)
class _Changes:
    """What differs between two graphs on some rows.

    Attributes:
        rows: that they were run on.
        moved: rows whose class differs; None without classes.
        outputs: of each output, the largest difference in the rows of a run. Not a number where one is not.
    """

    rows: int
    moved: int | None
    outputs: dict[str, Difference]

    @classmethod
    def between(
        cls, before: SerializedGraph, after: SerializedGraph, manifest: Manifest, rows: Arrays | None
    ) -> "_Changes":
        run_before, run_after = load(before, optimize=True), load(after, optimize=True)
        count = moved = 0
        outputs = {spec.name: Difference(0.0, 0.0) for spec in manifest.outputs}
        for batch in _batches(manifest, rows):
            expected, actual = run_before(batch), run_after(batch)
            for name, largest in outputs.items():
                outputs[name] = _larger(largest, Difference.between(expected[name], actual[name]))
            count += count_rows(batch) if manifest.is_batchable else 1
            if manifest.num_classes is not None:
                classes = (predicted_classes(found[manifest.outputs[0].name]) for found in (expected, actual))
                moved += int(np.count_nonzero(np.not_equal(*classes)))
        return cls(count, None if manifest.num_classes is None else moved, outputs)

    def validate(self) -> None:
        problems = []
        if self.moved is not None and self.moved > (1 - MIN_AGREEMENT) * self.rows:
            problems.append(
                f"the class of {self.moved} of {self.rows} rows (at most {1 - MIN_AGREEMENT:.1%} may change)"
            )
        problems += [
            f"'{name}' by {found.absolute:.3g}, which is {found.relative:.3g} of its largest value "
            f"({MAX_RELATIVE:g} is allowed)"
            for name, found in self.outputs.items()
            if not found.relative <= MAX_RELATIVE  # true of a NaN
        ]
        if problems:
            raise ParityError(
                f"weights in half precision change the answers: {'; '.join(problems)}. Publish them in float32"
            )

    def record(self, weights: int) -> HalfWeights:
        return HalfWeights(
            weights=weights,
            rows=self.rows,
            agreement=None if self.moved is None else 1 - self.moved / self.rows,
            max_absolute=max(found.absolute for found in self.outputs.values()),
            max_relative=max(found.relative for found in self.outputs.values()),
        )


def _larger(one: Difference, other: Difference) -> Difference:
    return Difference(float(np.maximum(one.absolute, other.absolute)), float(np.maximum(one.relative, other.relative)))


def _batches(manifest: Manifest, rows: Arrays | None) -> Iterator[Arrays]:
    if rows is None or not manifest.is_batchable:
        size = _BATCH_ROWS if manifest.is_batchable else 1
        yield from (random_rows(manifest.inputs, size, seed) for seed in range(_RANDOM_BATCHES))
        return
    for start in range(0, min(count_rows(rows), _MAX_ROWS), _BATCH_ROWS):
        yield {name: values[start : min(start + _BATCH_ROWS, _MAX_ROWS)] for name, values in rows.items()}
