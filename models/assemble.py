"""The assembly line of bundles: source graph -> fold -> compare -> observe -> thresholds -> manifest.

A trained network, an imported file and a re-calibrated version all pass through it. Each says what is known of the
model besides its graph (`ModelInfo`), where the version comes from (`lineage`), and what its graphs are compared with.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from models.classification import ScoreKind, predicted_classes
from models.datatypes import Arrays, Run
from models.drift import calibration
from models.errors import GraphError, InvalidInput
from models.graph.find import find
from models.graph.fold import fold
from models.graph.load import serialize
from models.graph.observe import observe
from models.manifest import (
    Batching,
    DriftReference,
    ImagePreprocessing,
    Lineage,
    Manifest,
    NormLayer,
    Parent,
    Placement,
    RecalibrationRecord,
    TensorSpec,
    TrainingRecord,
)
from models.observation import ObservationReader, RowStatistics
from models.parity.check import WatchedGraph, check
from models.repository.bundle import Bundle
from models.repository.repository import validate_model_name
from models.rows import count_rows
from models.runtime.load import load
from models.runtime.specs import specs
from models.version import PROGRAM

MAX_REFERENCE_ROWS = 5000
"""Rows that thresholds are estimated from. More hardly change them, and would leave none to check them on."""

_BATCH_ROWS = 256


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a model besides its graph: fields of the manifest.

    Attributes:
        scores: by default, "probabilities" if the first output comes from a Softmax node.
    """

    model: str
    description: str = ""
    labels: Sequence[str] | None = None
    scores: ScoreKind | None = None
    preprocessing: ImagePreprocessing | None = None
    batching: Batching | None = None

    @classmethod
    def of(cls, manifest: Manifest) -> "ModelInfo":
        """The info of a version, for versions made from it."""
        return cls(
            model=manifest.model,
            description=manifest.description,
            labels=manifest.labels,
            scores=manifest.scores,
            preprocessing=manifest.preprocessing,
            batching=manifest.batching,
        )


def signed_lineage(
    origin: Literal["trained", "imported", "recalibrated"],
    parent: Parent | None = None,
    recalibration: RecalibrationRecord | None = None,
) -> Lineage:
    """A lineage that states this program and the present time."""
    return Lineage(
        origin=origin,
        created_at=datetime.now(UTC),
        created_by=PROGRAM,
        parent=parent,
        recalibration=recalibration,
    )


def assemble(
    source: onnx.ModelProto,
    info: ModelInfo,
    lineage: Lineage,
    *,
    training: TrainingRecord | None = None,
    oracle: Run | None = None,
    rows: Arrays | None = None,
    held_out: bytes | None = None,
    tolerance: float | None = None,
) -> Bundle:
    """Make the bundle of a source graph. Nothing is published.

    Args:
        source: a graph with explicit normalisation layers.
        info: name, labels, preprocessing and the like.
        lineage: where the version comes from.
        training: how the weights were trained.
        oracle: the network itself, to compare the graphs with; the source graph by default.
        rows: rows that the weights were not trained on. The graphs are compared on some of them, and 64 or more set the
            thresholds of drift alarms.
        held_out: rows to keep in the bundle, as `models.repository.held_out.keep` returns them.
        tolerance: bound on the differences, relative to the largest value; derived from the source graph by default.

    Raises:
        InvalidInput: the name cannot be a model's, the tolerance is not positive, or the number of labels is wrong.
        ParityError: the graphs differ by more than the tolerance.
        GraphError: the graph has no normalisation layer, cannot be folded or observed, or onnxruntime cannot run it.
    """
    validate_model_name(info.model, "name")
    if tolerance is not None and not tolerance > 0:
        raise InvalidInput("must be more than 0", "tolerance")
    folded = fold(source)
    if not folded.norm_layers:
        raise GraphError(
            "the graph has no BatchNormalization node. If the network has such layers, its exporter has folded them "
            "and their statistics are lost: export it again without, e.g. by torch.onnx.export(..., optimize=False)"
        )
    source_bytes, folded_bytes = serialize(source), serialize(folded.model)
    inputs, outputs = specs(source_bytes)
    _validate_labels(info.labels, outputs[0])
    observed_bytes = serialize(observe(folded.model, folded.norm_layers))
    parity = check(
        _watch_source(source, folded.norm_layers),
        folded_bytes,
        WatchedGraph(observed_bytes, folded.norm_layers),
        inputs,
        oracle,
        rows,
        tolerance=tolerance,
    )

    manifest = Manifest(
        model=info.model,
        description=info.description,
        inputs=inputs,
        outputs=outputs,
        labels=tuple(info.labels) if info.labels is not None else None,
        scores=info.scores or _score_kind(source),
        preprocessing=info.preprocessing,
        batching=info.batching,
        norm_layers=folded.norm_layers,
        parity=parity,
        drift=_drift_reference(observed_bytes, folded.norm_layers, outputs[0], rows),
        lineage=lineage,
        training=training,
    )
    return Bundle(manifest, folded=folded_bytes, source=source_bytes, observed=observed_bytes, held_out=held_out)


def sample_rows(count: int, seed: int = 0) -> NDArray[np.int64]:
    """Ascending indices of the rows that set the thresholds: at most `MAX_REFERENCE_ROWS`, drawn at random."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:MAX_REFERENCE_ROWS])


def _watch_source(source: onnx.ModelProto, layers: Sequence[NormLayer]) -> WatchedGraph:
    """The source graph with the moments of its layers' own outputs."""
    own = tuple(
        layer.model_copy(update={"placement": Placement(kind="folded_back", tensor=found.output)})
        for layer, found in zip(layers, find(source), strict=True)
    )
    return WatchedGraph(serialize(observe(source, own)), own)


def _validate_labels(labels: Sequence[str] | None, output: TensorSpec) -> None:
    classes = output.shape[-1]
    if labels is not None and classes not in (-1, len(labels)):
        raise InvalidInput(
            f"got {len(labels)}, expected one for each of the {classes} values of output '{output.name}'", "labels"
        )


def _score_kind(graph: onnx.ModelProto) -> ScoreKind:
    output = graph.graph.output[0].name
    is_softmax = any(node.op_type == "Softmax" and output in node.output for node in graph.graph.node)
    return "probabilities" if is_softmax else "logits"


def _drift_reference(
    observed: bytes, layers: Sequence[NormLayer], output: TensorSpec, rows: Arrays | None
) -> DriftReference | None:
    """Statistics of the rows in the observed graph, and thresholds from them; None where there are too few rows."""
    if rows is None:
        return None
    chosen = sample_rows(count_rows(rows))
    if len(chosen) < calibration.MIN_HELD_OUT_ROWS:
        return None
    run = load(observed, optimize=True)
    parts: dict[str, list[RowStatistics]] = {}
    predicted = []
    for batch in _batches(rows, chosen):
        outputs = run(batch)
        for name, statistics in ObservationReader(layers, outputs).read(outputs).items():
            parts.setdefault(name, []).append(statistics)
        if output.num_classes is not None:
            predicted.append(predicted_classes(outputs[output.name]))
    by_layer = {name: RowStatistics.concatenate(found) for name, found in parts.items()}
    return calibration.estimate(by_layer, np.concatenate(predicted) if predicted else None, output.num_classes or 0)


def _batches(rows: Arrays, chosen: NDArray[np.int64]) -> Iterator[Arrays]:
    for start in range(0, len(chosen), _BATCH_ROWS):
        part = chosen[start : start + _BATCH_ROWS]
        yield {name: values[part] for name, values in rows.items()}
