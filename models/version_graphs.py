"""Source graph -> the graphs of a version: folded, merged for predictions, and observed."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import onnx

from models.classification import ScoreKind
from models.errors import GraphError, TrainingModeGraph
from models.graph.activations import choose_activations
from models.graph.editor import GraphEditor
from models.graph.find import find
from models.graph.fold import Folded, fold, kept_name
from models.graph.image import choose_image
from models.graph.margin import choose_margin
from models.graph.merge import Merged, merge
from models.graph.norms import find_norms
from models.graph.observe import observe
from models.graph.topology import read_topology
from models.graph.weights import WeightFiles, change, share_in, split_model
from models.manifest import Capability, NormLayer, TensorSpec, TopologyNode, WatchedLayer
from models.model_info import ModelInfo
from models.parity.observations import mark_watched
from models.parity.probe import Probe
from models.parity.version import VersionGraphs
from models.repository.bundle import FOLDED_WEIGHTS, OBSERVED_WEIGHTS, SOURCE_WEIGHTS
from models.stored_graph import SerializedGraph, Weights

MAX_COPIED = 1 / 8
"""Share of the served weights that the source graph has as well: the last layer, for example. Below it they are stored
twice, so that the weights of the source graph, about half of a bundle, need not be read to serve the version."""


class MadeGraphs(NamedTuple):
    """The graphs of a version, and what is known of them.

    Attributes:
        graphs: of the version.
        scores: what the first output has.
        topology: of the source graph.
        limits: what is not possible with the version, and why.
    """

    graphs: VersionGraphs
    scores: ScoreKind
    topology: tuple[TopologyNode, ...]
    limits: dict[Capability, str]


def make_graphs(
    stored: SerializedGraph,
    files: WeightFiles,
    inputs: Sequence[TensorSpec],
    probed: Probe,
    info: ModelInfo,
    *,
    has_rows: bool,
    allow_unfolded: bool,
) -> MadeGraphs:
    """Fold the source graph, merge what can be, and observe its layers.

    Args:
        stored: the source graph, whose weights are in `files`.
        files: of the weights of all graphs.
        inputs: of all graphs.
        probed: what running the source graph has shown.
        info: what is to be watched besides the layers, and what the scores are.
        has_rows: whether rows follow, from which z units are estimated. Only then is anything watched besides.
        allow_unfolded: make the graphs also where nothing can be folded, or there is no batch axis.

    Raises:
        TrainingModeGraph: a layer of the graph normalises by its batch.
        GraphError: nothing can be folded, or there is no batch axis, unless that is allowed; or a graph cannot be
            observed.
    """
    source, weights = split_model(stored)
    folded, limits = _fold(source, weights, probed)
    if limits and not allow_unfolded:
        raise GraphError(next(iter(limits.values())))
    served = merge(folded.model, weights)
    apart_from = SOURCE_WEIGHTS if share_in(SOURCE_WEIGHTS, served.model) < MAX_COPIED else ""
    stored_folded = stored_served = files.store(served.model, FOLDED_WEIGHTS, apart_from=apart_from)
    if served.into:
        stored_folded = files.store(folded.model, OBSERVED_WEIGHTS, apart_from=apart_from)
    layers = _layers(folded, inputs, probed, served, stored_folded)
    read_at = {layer.name: layer.placement.tensor for layer in layers}
    scores = info.scores or _score_kind(source)
    if has_rows:
        layers = (*layers, *_further_layers(info, inputs, stored_folded, probed, scores))
    own_outputs = {layer.name: layer.output for layer in find(source, weights)} if folded.norm_layers else {}
    topology = read_topology(source.graph, read_at | own_outputs)
    del folded, served  # models in memory have a copy of the weights
    observed = None
    if any(layer.unwatched is None for layer in layers):
        observed = change(stored_folded, partial(observe, layers=layers))
    elif layers and probed.batch_problem is None:
        limits["watching"] = f"no layer can be observed: '{layers[0].name}': {layers[0].unwatched}"
    return MadeGraphs(VersionGraphs(stored, stored_served, observed, layers, own_outputs), scores, topology, limits)


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
    return mark_watched(stored, layers, inputs, positive=probed.positive)


def _further_layers(
    info: ModelInfo,
    inputs: Sequence[TensorSpec],
    stored: SerializedGraph,
    probed: Probe,
    scores: ScoreKind,
) -> Iterator[WatchedLayer]:
    """What is watched by choice, as far as the network has it: its input as an image, and how sure it is."""
    image = choose_image(inputs, info.preprocessing) if info.watch_image else None
    editor = GraphEditor(*split_model(stored))
    margin = choose_margin(editor, probed.outputs[0], scores) if info.watch_margin else None
    for found in (image, margin):
        if found is not None:
            yield from mark_watched(stored, [found], inputs, positive=probed.positive)


def _mark_merged(layer: NormLayer, served: Merged) -> NormLayer:
    conv = served.into.get(kept_name(layer.name))
    if layer.placement.kind != "kept" or conv is None:
        return layer
    reason = f"{layer.placement.reason}; for predictions it is merged into {conv}"
    return layer.model_copy(update={"placement": layer.placement.model_copy(update={"reason": reason})})


def _score_kind(graph: onnx.ModelProto) -> ScoreKind:
    output = graph.graph.output[0].name
    is_softmax = any(node.op_type == "Softmax" and output in node.output for node in graph.graph.node)
    return "probabilities" if is_softmax else "logits"
