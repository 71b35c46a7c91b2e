"""Unlabelled rows -> new statistics in every normalisation layer -> a new version, checked.

The rows go once through the adaptive graph (`models.graph.adapt`), which gives every layer's new statistics exactly;
these are written into the source graph, and that is folded and compared as any other. Whether the result is published
is for the gates to say (`models.recalibration.gates`). The weights stay as they are, and the parent is not touched.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from models.assemble import ModelInfo, assemble, signed_lineage
from models.classification import count_classes, predicted_classes, probabilities
from models.datatypes import Arrays
from models.drift.divergence import symmetric_kl
from models.errors import InvalidInput, RecalibrationRefused
from models.graph.adapt import ChannelStatistics, adapt, restate
from models.graph.find import find
from models.graph.load import parse, serialize
from models.manifest import Gate, Manifest, Parent, RecalibrationRecord, TensorSpec
from models.recalibration import gates
from models.recalibration.limits import DEFAULT_PRIOR, MAX_ROWS_TO_ESTIMATE, MIN_ROWS_TO_ESTIMATE
from models.repository import held_out
from models.repository.bundle import Bundle
from models.rows import validate_rows
from models.runtime.load import load

Step = Literal["estimating", "folding", "checking"]


@dataclass(frozen=True)
class Labelled:
    """Rows whose classes are known.

    Attributes:
        rows: for every input of the model, shape (m, ...).
        labels: indices of the classes, shape (m,).
    """

    rows: Arrays
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Candidate:
    """A version that could be published.

    Attributes:
        bundle: complete; its manifest has the gates.
        gates: each with its figure and its bounds.
    """

    bundle: Bundle
    gates: tuple[Gate, ...]

    @property
    def failed(self) -> tuple[Gate, ...]:
        """The gates that it did not pass."""
        return tuple(gate for gate in self.gates if not gate.passed)

    def publishable(self, *, force: bool = False) -> Bundle:
        """The bundle, if it may be published.

        Args:
            force: publish it although it did not pass; its manifest says so.

        Raises:
            RecalibrationRefused: it did not pass; the message has the figures.
        """
        if not self.failed:
            return self.bundle
        if not force:
            raise RecalibrationRefused("; ".join(describe(gate) for gate in self.failed))
        return _with_record(self.bundle, forced=True)


def recalibrate(
    parent: Bundle,
    version: int,
    rows: Arrays,
    *,
    prior: float = DEFAULT_PRIOR,
    labelled: Labelled | None = None,
    on_step: Callable[[Step], None] = lambda _: None,
) -> Candidate:
    """Estimate, fold and check; nothing is published.

    Args:
        parent: the version to start from.
        version: its number.
        rows: for every input of the model, shape (n, ...), of its type.
        prior: how many rows the parent's statistics count for: N in `models.graph.adapt`.
        labelled: rows on which the new version must not do worse.
        on_step: is told what begins.

    Raises:
        InvalidInput: the rows are not the model's, are too few or too many, or have values that are not finite.
        GraphError: the graph cannot adapt, or the new statistics make no graph that computes what it should.
    """
    count = require_rows(rows, parent.manifest.inputs)
    if not (0 <= prior < np.inf):
        raise InvalidInput("must be a number of rows, 0 or more", "prior")
    if labelled is not None:
        _require_labels(labelled, parent.manifest.inputs)

    on_step("estimating")
    source = parse(parent.source)
    layers = _Layers(source)
    before, after = layers.run(rows, 1.0), layers.run(rows, prior / (prior + count))

    on_step("folding")
    bundle = assemble(
        restate(source, after.statistics),
        ModelInfo.of(parent.manifest),
        signed_lineage(
            "recalibrated",
            Parent(model=parent.manifest.model, version=version),
            RecalibrationRecord(rows=count, prior=prior, gates=()),
        ),
        rows=rows,  # two numbers a channel were estimated from them: thresholds from them are as good as from others
        held_out=parent.held_out,
        tolerance=parent.manifest.parity.tolerance,
    )

    on_step("checking")
    found = _gates(parent, count, layers, before, after, bundle.folded, labelled)
    return Candidate(_with_record(bundle, gates=found), found)


def require_rows(rows: Arrays, inputs: Sequence[TensorSpec]) -> int:
    """How many rows there are.

    Raises:
        InvalidInput: they are not the model's, are too few or too many, or have values that are not finite.
    """
    count = validate_rows(rows, inputs, "rows")
    if not MIN_ROWS_TO_ESTIMATE <= count <= MAX_ROWS_TO_ESTIMATE:
        raise InvalidInput(f"got {count}, expected {MIN_ROWS_TO_ESTIMATE} to {MAX_ROWS_TO_ESTIMATE}", "rows")
    return count


def describe(gate: Gate) -> str:
    """The gate as a line of text, e.g. ``diversity 0.31 is below 0.9``."""
    if gate.figure is None:
        return f"{gate.name} is not a finite number"
    if gate.lower is not None and gate.figure < gate.lower:
        return f"{gate.name} {gate.figure:.3g} is below {gate.lower:.3g}"
    if gate.upper is not None and gate.figure > gate.upper:
        return f"{gate.name} {gate.figure:.3g} is above {gate.upper:.3g}"
    return f"{gate.name} {gate.figure:.3g}"


def _with_record(bundle: Bundle, **changes: object) -> Bundle:
    """The bundle of a re-calibrated version with another record of that in its manifest."""
    lineage = bundle.manifest.lineage
    assert lineage.recalibration is not None  # noqa: S101 - for the type checker: every candidate has one
    record = lineage.recalibration.model_copy(update=changes)
    changed = lineage.model_copy(update={"recalibration": record})
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"lineage": changed}))


@dataclass(frozen=True)
class _Pass:
    """What one forward pass of the adaptive graph told.

    Attributes:
        outputs: of the network.
        met: of each layer's input, over the rows.
        statistics: by which each layer normalised.
    """

    outputs: Arrays
    met: dict[str, ChannelStatistics]
    statistics: dict[str, ChannelStatistics]


class _Layers:
    """The layers of a source graph, and what rows do in them."""

    def __init__(self, source: onnx.ModelProto) -> None:
        self._eps = {layer.name: layer.eps for layer in find(source)}
        self._adaptive = adapt(source)
        self._run = load(serialize(self._adaptive.model), optimize=True)
        self._outputs = [value.name for value in source.graph.output]

    def run(self, rows: Arrays, prior_weight: float) -> _Pass:
        results = self._run({**rows, self._adaptive.prior_weight: np.array(prior_weight, np.float32)})
        met, statistics = {}, {}
        for layer, names in self._adaptive.layers.items():
            met[layer] = _statistics(results, names.batch_mean, names.batch_var)
            statistics[layer] = _statistics(results, names.mean, names.var)
        return _Pass({name: results[name] for name in self._outputs}, met, statistics)

    def distance(self, met: dict[str, ChannelStatistics], usual: dict[str, ChannelStatistics]) -> float:
        """Symmetric KL divergence of what layers met from what they expect, mean over channels and layers."""
        return float(
            np.mean(
                [
                    symmetric_kl(met[name].mean, met[name].var, usual[name].mean, usual[name].var + eps).mean()
                    for name, eps in self._eps.items()
                ]
            )
        )


def _gates(
    parent: Bundle,
    count: int,
    layers: _Layers,
    before: _Pass,
    after: _Pass,
    folded: bytes,
    labelled: Labelled | None,
) -> tuple[Gate, ...]:
    """All that apply: a network that does not classify has no classes to be diverse or to agree in."""
    output = parent.manifest.outputs[0].name
    known = None if parent.held_out is None else held_out.unpack(parent.held_out, parent.manifest.inputs)
    run_parent, run_candidate = load(parent.folded, optimize=True), load(folded, optimize=True)
    on_known = {} if known is None else run_parent(known)
    drift = layers.distance(before.met, before.statistics)
    found = [
        gates.rows(count),
        gates.drift(drift, layers.distance(after.met, after.statistics)),
        gates.growth([*before.outputs.values(), *on_known.values()], after.outputs.values()),
    ]
    scores = after.outputs[output]
    num_classes = parent.manifest.num_classes
    if num_classes is None:
        if labelled is not None:
            raise InvalidInput(f"'{output}' holds no classes that rows could be labelled with", "labels")
        return tuple(found)

    kind = parent.manifest.scores
    usual = on_known.get(output)
    found += [
        gates.diversity(_histogram(scores), _usual_histogram(parent.manifest, usual)),
        gates.information(probabilities(scores, kind), None if usual is None else probabilities(usual, kind)),
    ]
    if known is not None and usual is not None:
        likened = _of_classes(known, predicted_classes(usual), _histogram(before.outputs[output]))
        unexplained = layers.distance(before.met, layers.run(likened, 1.0).met)
        found += [
            gates.label_shift(drift, unexplained),
            gates.agreement(predicted_classes(usual), predicted_classes(run_candidate(known)[output])),
        ]
    if labelled is not None:
        if not ((labelled.labels >= 0) & (labelled.labels < num_classes)).all():
            raise InvalidInput(f"'{output}' has classes 0 to {num_classes - 1}", "labels")
        right = (
            predicted_classes(run(labelled.rows)[output]) == labelled.labels for run in (run_parent, run_candidate)
        )
        found.append(gates.accuracy(*right))
    return tuple(found)


def _statistics(results: Arrays, mean: str, var: str) -> ChannelStatistics:
    return ChannelStatistics(results[mean].astype(np.float64), results[var].astype(np.float64))


def _of_classes(rows: Arrays, classes: NDArray[np.int64], wanted: NDArray[np.int64]) -> Arrays:
    """As many of the rows, some of them repeatedly, as there are; with the wanted mix of classes as far as they go.

    Args:
        rows: to choose from.
        classes: of each row.
        wanted: of each class how many, relative to the others, shape (K,).
    """
    present = count_classes(classes, len(wanted))
    weight = (wanted / np.maximum(present, 1))[classes]
    if not weight.any():
        return rows
    # Systematic: a row is chosen as often as its weight says, rounded up or down.
    steps = (np.arange(len(classes)) + 0.5) / len(classes)
    chosen = np.searchsorted(np.cumsum(weight) / weight.sum(), steps).clip(max=len(classes) - 1)
    return {name: values[chosen] for name, values in rows.items()}


def _histogram(scores: NDArray[np.generic]) -> NDArray[np.int64]:
    return count_classes(predicted_classes(scores), scores.shape[1])


def _usual_histogram(manifest: Manifest, usual: NDArray[np.generic] | None) -> NDArray[np.int64] | None:
    """From all held-out rows, else from those that are kept."""
    if manifest.drift is not None and manifest.drift.classes is not None:
        return np.array(manifest.drift.classes.counts)
    return None if usual is None else _histogram(usual)


def _require_labels(labelled: Labelled, inputs: Sequence[TensorSpec]) -> None:
    count = require_rows(labelled.rows, inputs)
    if labelled.labels.shape != (count,) or labelled.labels.dtype != np.int64:
        raise InvalidInput(f"one whole number for each of the {count} rows", "labels")
