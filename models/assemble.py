"""The assembly line of bundles: source graph -> fold -> compare -> observe -> thresholds -> manifest.

A trained network, an imported file and a re-calibrated version all pass through it. Each says what is known of the
model besides its graph (`ModelInfo`), where the version comes from (`lineage`), and what its graphs are compared with.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType

import onnx

from models.classification import ScoreKind
from models.datatypes import Arrays, Run
from models.errors import GraphError, InvalidInput, TrainingModeGraph
from models.graph.activations import choose_activations
from models.graph.editor import GraphEditor
from models.graph.find import find
from models.graph.fold import Folded, fold, kept_name
from models.graph.margin import choose_margin
from models.graph.merge import Merged, merge
from models.graph.norms import find_norms
from models.graph.observe import observe
from models.graph.positions import choose_positions
from models.graph.topology import read_topology
from models.graph.weights import WeightFiles, change, share_in, split_model
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
from models.parity.observations import mark_unwatched
from models.parity.probe import Probe, probe
from models.parity.version import VersionGraphs, check_version
from models.progress import Progress, part_of, silent
from models.reference import estimate_reference
from models.repository.bundle import FOLDED_WEIGHTS, OBSERVED_WEIGHTS, SOURCE_WEIGHTS, Bundle
from models.repository.repository import validate_model_name
from models.runtime.specs import specs
from models.stored_graph import NO_WEIGHTS, SerializedGraph, Weights
from models.version import PROGRAM

MAX_COPIED = 1 / 8
"""Share of the served weights that the source graph has as well: the last layer, for example. Below it they are stored
twice, so that the weights of the source graph, about half of a bundle, need not be read to serve the version."""


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
    source, weights = split_model(stored)
    inputs, outputs = specs(stored)
    _validate_labels(info.labels, outputs[0])
    probed = probe(stored, inputs, outputs)
    release_freed()
    progress("folding", 0.2)
    folded, found = _fold(source, weights, probed)
    if found and not allow_unfolded:
        raise GraphError(next(iter(found.values())))
    limits = {**found, **limits}
    served = merge(folded.model, weights)
    apart_from = SOURCE_WEIGHTS if share_in(SOURCE_WEIGHTS, served.model) < MAX_COPIED else ""
    stored_folded = stored_served = files.store(served.model, FOLDED_WEIGHTS, apart_from=apart_from)
    if served.into:
        stored_folded = files.store(folded.model, OBSERVED_WEIGHTS, apart_from=apart_from)
    layers = _layers(folded, inputs, probed, served, stored_folded)
    read_at = {layer.name: layer.placement.tensor for layer in layers}
    scores = info.scores or _score_kind(source)
    if rows is not None:  # which give their z units
        layers = (*layers, *_further_layers(info, layers, inputs, stored_folded, probed, scores))
    own_outputs = {layer.name: layer.output for layer in find(source, weights)} if folded.norm_layers else {}
    topology = read_topology(source.graph, read_at | own_outputs)
    del folded, served  # models in memory have a copy of the weights
    observed = None
    if any(layer.unwatched is None for layer in layers):
        observed = change(stored_folded, partial(observe, layers=layers))
    elif layers and probed.batch_problem is None:
        limits["watching"] = f"no layer can be observed: '{layers[0].name}': {layers[0].unwatched}"
    parity = check_version(
        VersionGraphs(stored, stored_served, observed, layers, own_outputs),
        inputs,
        probed,
        oracle,
        rows,
        tolerance,
        part_of(progress, 0.4, 1.0 if rows is None else 0.7),
    )
    release_freed()
    if rows is not None:
        progress("estimating thresholds", 0.7)
    layers, drift = estimate_reference(observed, layers, probed.outputs[0], rows)

    manifest = Manifest(
        model=info.model,
        description=info.description,
        inputs=inputs,
        outputs=probed.outputs,
        labels=tuple(info.labels) if info.labels is not None else None,
        scores=scores,
        preprocessing=info.preprocessing,
        tokenization=info.tokenization,
        generation=info.generation,
        batching=info.batching,
        batch_axis=None if probed.batch_problem is None else False,
        limits=limits,
        warnings=tuple(warnings),
        norm_layers=tuple(layer for layer in layers if isinstance(layer, NormLayer)),
        watched_layers=tuple(layer for layer in layers if not isinstance(layer, NormLayer)),
        topology=topology,
        parity=parity,
        drift=drift,
        lineage=lineage,
        training=training,
        training_history=training_history,
    )
    bundle = Bundle(manifest, folded=stored_served, source=stored, observed=observed, held_out=held_out)
    return halve(bundle, rows) if info.half_weights else bundle


def _fold(source: onnx.ModelProto, weights: Weights, probed: Probe) -> tuple[Folded, dict[Capability, str]]:
    """The folded graph, or the source graph itself where nothing is folded; and what is not possible, with the reason.

    A fold that cannot be compared with its source is not served.
    """
    limits: dict[Capability, str] = {}
    folded = Folded(source, ())
    try:
        folded = fold(source, weights)
    except TrainingModeGraph:
        raise
    except GraphError as error:
        limits |= dict.fromkeys(("folding", "recalibration"), f"the graph cannot be folded: {error}")
    else:
        if not folded.norm_layers:
            limits |= dict.fromkeys(("folding", "recalibration"), "the graph has no BatchNormalization node")
        elif probed.run_problem is not None:
            folded = Folded(source, ())
            reason = f"a folded graph could not be compared with its source: {probed.run_problem}"
            limits |= dict.fromkeys(("folding", "recalibration"), reason)
    if probed.batch_problem is not None:
        limits["batching"] = f"the model has no batch axis: {probed.batch_problem}"
    return folded, limits


def _layers(
    folded: Folded, inputs: Sequence[TensorSpec], probed: Probe, served: Merged, stored: SerializedGraph
) -> tuple[WatchedLayer, ...]:
    """The layers of the folded graph. Those that cannot be observed say why, and those that are merged say where."""
    if probed.batch_problem is not None:
        reason = f"the model has no batch axis: {probed.batch_problem}"
        return tuple(layer.model_copy(update={"unwatched": reason}) for layer in folded.norm_layers)
    editor = GraphEditor(*split_model(stored))
    others = find_norms(editor, [layer.name for layer in folded.norm_layers])
    layers = (*(_mark_merged(layer, served) for layer in folded.norm_layers), *others) or choose_activations(editor)
    return mark_unwatched(stored, layers, inputs, positive=probed.positive)


def _further_layers(
    info: ModelInfo,
    layers: Sequence[WatchedLayer],
    inputs: Sequence[TensorSpec],
    stored: SerializedGraph,
    probed: Probe,
    scores: ScoreKind,
) -> Iterator[WatchedLayer]:
    """What is watched by choice, as far as the network has it: where the values of a layer are, and how sure it is."""
    editor = GraphEditor(*split_model(stored))
    positions = choose_positions(editor, layers) if info.watch_positions else None
    margin = choose_margin(editor, probed.outputs[0], scores) if info.watch_margin else None
    for found in (positions, margin):
        if found is not None:
            yield from mark_unwatched(stored, [found], inputs, positive=probed.positive)


def _mark_merged(layer: NormLayer, served: Merged) -> NormLayer:
    conv = served.into.get(kept_name(layer.name))
    if layer.placement.kind != "kept" or conv is None:
        return layer
    reason = f"{layer.placement.reason}; for predictions it is merged into {conv}"
    return layer.model_copy(update={"placement": layer.placement.model_copy(update={"reason": reason})})


def _validate_labels(labels: Sequence[str] | None, output: TensorSpec) -> None:
    classes = output.shape[-1] if output.shape else 1
    if labels is not None and classes not in (-1, len(labels)):
        raise InvalidInput(
            f"got {len(labels)}, expected one for each of the {classes} values of output '{output.name}'", "labels"
        )


def _score_kind(graph: onnx.ModelProto) -> ScoreKind:
    output = graph.graph.output[0].name
    is_softmax = any(node.op_type == "Softmax" and output in node.output for node in graph.graph.node)
    return "probabilities" if is_softmax else "logits"
