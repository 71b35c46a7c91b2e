"""A bundle -> the same bundle with its weights in half precision: half its size, computed with in float32 as before.

The graphs of the bundle have been compared in float32, so that a fault of folding is found at the usual tolerances.
Here only the rounding of the weights is measured: the served graph before and after. Thresholds of drift alarms are
estimated again, since the layers are now computed from the rounded weights.
"""

from dataclasses import replace

from models.datatypes import Arrays
from models.errors import GraphError, ParityError
from models.graph.half import store_halved
from models.graph.weights import WeightFiles
from models.manifest import HalfWeights, NormLayer
from models.parity.changes import AnswerChanges
from models.reference import estimate_reference
from models.repository.bundle import FOLDED_WEIGHTS, OBSERVED_WEIGHTS, SOURCE_WEIGHTS, Bundle
from models.runtime.load import load
from models.stored_graph import split

MIN_AGREEMENT = 0.999
"""Of the classes: below 1,000 rows, all must stay."""


def halve(bundle: Bundle, rows: Arrays | None) -> Bundle:
    """The bundle with its weights in half precision.

    Args:
        bundle: with weights in float32.
        rows: that the network was not trained on, as `AnswerChanges.between` takes them.

    Raises:
        GraphError: no weight can be rounded.
        ParityError: the rounded weights change the answers.
    """
    files = WeightFiles()
    source, _ = store_halved(bundle.source, files, SOURCE_WEIGHTS)
    apart_from = "" if SOURCE_WEIGHTS in split(bundle.folded)[1] else SOURCE_WEIGHTS
    folded, rounded = store_halved(bundle.folded, files, FOLDED_WEIGHTS, apart_from)
    observed = bundle.observed
    if observed is not None:
        observed, _ = store_halved(observed, files, OBSERVED_WEIGHTS, apart_from)
    if not rounded:
        raise GraphError("half precision saves nothing: no float32 weight of 1 KiB and two axes can be rounded")
    manifest = bundle.manifest
    runs = load(bundle.folded, optimize=True), load(folded, optimize=True)
    found = AnswerChanges.between(*runs, manifest, rows)
    try:
        found.validate(MIN_AGREEMENT)
    except ParityError as error:
        raise ParityError(f"weights in half precision change the answers: {error}. Publish them in float32") from error
    layers, drift = estimate_reference(observed, manifest.layers, manifest.outputs[0], rows)
    changes = {
        "half_weights": _record(found, rounded),
        "norm_layers": tuple(layer for layer in layers if isinstance(layer, NormLayer)),
        "watched_layers": tuple(layer for layer in layers if not isinstance(layer, NormLayer)),
        "drift": drift,
    }
    return replace(
        bundle, manifest=manifest.model_copy(update=changes), source=source, folded=folded, observed=observed
    )


def _record(found: AnswerChanges, weights: int) -> HalfWeights:
    largest = found.largest
    return HalfWeights(
        weights=weights,
        rows=found.rows,
        agreement=found.agreement,
        max_absolute=largest.absolute,
        max_relative=largest.relative,
    )
