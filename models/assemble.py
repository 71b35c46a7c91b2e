"""The assembly line of bundles: source graph -> fold -> compare -> observe -> thresholds -> manifest.

A trained network, an imported file and a re-calibrated version all pass through it. Each says what is known of the
model besides its graph (`ModelInfo`), where the version comes from (`lineage`), and what its graphs are compared with.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType

import onnx

from models.datatypes import Arrays, Run
from models.errors import InvalidInput
from models.graph.weights import WeightFiles
from models.half_weights import halve
from models.manifest import (
    Capability,
    Lineage,
    Manifest,
    NormLayer,
    Origin,
    Parent,
    QuantizationRecord,
    RecalibrationRecord,
    ReferenceRecord,
    TensorSpec,
    TrainingHistory,
    TrainingRecord,
    WatchedLayer,
)
from models.memory import release_freed
from models.model_info import ModelInfo
from models.parity.probe import probe
from models.parity.version import check_version
from models.progress import Progress, part_of, silent
from models.reference import estimate_reference
from models.repository.bundle import SOURCE_WEIGHTS, Bundle
from models.repository.repository import validate_model_name
from models.runtime.specs import specs
from models.stored_graph import NO_WEIGHTS, Weights
from models.version import PROGRAM
from models.version_graphs import make_graphs


def signed_lineage(
    origin: Origin,
    parent: Parent | None = None,
    recalibration: RecalibrationRecord | None = None,
    reference: ReferenceRecord | None = None,
    quantization: QuantizationRecord | None = None,
) -> Lineage:
    """A lineage that states this program and the present time."""
    return Lineage(
        origin=origin,
        created_at=datetime.now(UTC),
        created_by=PROGRAM,
        parent=parent,
        recalibration=recalibration,
        reference=reference,
        quantization=quantization,
    )


def assemble(
    source: onnx.ModelProto,
    info: ModelInfo,
    lineage: Lineage,
    *,
    weights: Weights = NO_WEIGHTS,
    training: TrainingRecord | None = None,
    training_history: TrainingHistory | None = None,
    oracle: Run | None = None,
    rows: Arrays | None = None,
    held_out: bytes | None = None,
    tolerance: float | None = None,
    allow_unfolded: bool = False,
    limits: Mapping[Capability, str] = MappingProxyType({}),
    warnings: Sequence[str] = (),
    progress: Progress = silent,
) -> Bundle:
    """Make the bundle of a source graph. Nothing is published.

    Args:
        source: a graph with explicit normalisation layers.
        info: name, labels, preprocessing and the like.
        lineage: where the version comes from.
        weights: files that tensors of the source graph are in, rather than in itself.
        training: how the weights were trained.
        training_history: how the statistics of the layers came about.
        oracle: the network itself, to compare the graphs with; the source graph by default.
        rows: rows that the weights were not trained on. The graphs are compared on some of them, and 64 or more set the
            thresholds of drift alarms.
        held_out: rows to keep in the bundle, as `models.repository.held_out.keep` returns them.
        tolerance: bound on the differences, relative to the largest value; derived from the source graph by default.
        allow_unfolded: make a bundle also of a graph that has nothing to fold, cannot be folded, or has no batch axis.
            It is served as it is; the manifest says what cannot be done with it, and why.
        limits: what is known not to be possible with the version, and why.
        warnings: for the manifest.
        progress: of the steps.

    Raises:
        InvalidInput: the name cannot be a model's, the tolerance is not positive, or the number of labels is wrong.
        ParityError: the graphs differ by more than the tolerance, or half precision changes the answers.
        TrainingModeGraph: a layer of the graph normalises by its batch.
        GraphError: the graph has no normalisation layer or no batch axis, or cannot be folded, unless that is allowed;
            it cannot be observed, onnxruntime cannot load it, or half precision holds none of its weights.
    """
    validate_model_name(info.model, "name")
    if tolerance is not None and not tolerance > 0:
        raise InvalidInput("must be more than 0", "tolerance")
    progress("running the source graph", 0.0)
    files = WeightFiles()
    stored = files.store(source, SOURCE_WEIGHTS, weights)
    del source  # a model in memory has a copy of the weights
    inputs, outputs = specs(stored)
    _validate_labels(info.labels, outputs[0])
    probed = probe(stored, inputs, outputs)
    release_freed()
    progress("folding", 0.2)
    made = make_graphs(stored, files, inputs, probed, info, has_rows=rows is not None, allow_unfolded=allow_unfolded)
    graphs = made.graphs
    comparing = part_of(progress, 0.4, 1.0 if rows is None else 0.7)
    parity = check_version(graphs, inputs, probed, oracle, rows, tolerance, comparing)
    release_freed()
    if rows is not None:
        progress("estimating thresholds", 0.7)
    layers, drift = estimate_reference(graphs.observed, graphs.layers, probed.outputs[0], rows)

    manifest = Manifest(
        model=info.model,
        description=info.description,
        inputs=inputs,
        outputs=probed.outputs,
        labels=tuple(info.labels) if info.labels is not None else None,
        scores=made.scores,
        preprocessing=info.preprocessing,
        tokenization=info.tokenization,
        generation=info.generation,
        batching=info.batching,
        batch_axis=None if probed.batch_problem is None else False,
        limits={**made.limits, **limits},
        warnings=(*warnings, *_not_watched(info, layers, has_rows=rows is not None)),
        norm_layers=tuple(layer for layer in layers if isinstance(layer, NormLayer)),
        watched_layers=tuple(layer for layer in layers if not isinstance(layer, NormLayer)),
        topology=made.topology,
        parity=parity,
        drift=drift,
        lineage=lineage,
        training=training,
        training_history=training_history,
    )
    bundle = Bundle(manifest, folded=graphs.folded, source=stored, observed=graphs.observed, held_out=held_out)
    return halve(bundle, rows) if info.half_weights else bundle


def _not_watched(info: ModelInfo, layers: Sequence[WatchedLayer], *, has_rows: bool) -> Iterator[str]:
    """Of what was to be watched besides the layers, what is not, and why."""
    kinds = {layer.kind for layer in layers}
    for kind, wanted, need in (
        ("image", info.watch_image, "no input is an image of known size"),
        ("margin", info.watch_margin, "its first output has no scores of classes, or none that a Softmax computes"),
    ):
        if wanted and kind not in kinds:
            yield f"its {kind} is not watched: {need if has_rows else 'that takes reference rows'}"


def _validate_labels(labels: Sequence[str] | None, output: TensorSpec) -> None:
    classes = output.shape[-1] if output.shape else 1
    if labels is not None and classes not in (-1, len(labels)):
        raise InvalidInput(
            f"got {len(labels)}, expected one for each of the {classes} values of output '{output.name}'", "labels"
        )
