"""The comparison of the graphs of one version, with what is known of them."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from models.datatypes import Arrays, Run
from models.errors import ParityError
from models.graph.editor import GraphEditor
from models.graph.observe import observe
from models.graph.reshapes import with_ranks
from models.graph.weights import change, split_model
from models.manifest import NormLayer, Parity, Placement, TensorSpec, WatchedLayer
from models.parity.check import WatchedGraph, check
from models.parity.probe import Probe
from models.parity.rounding import SMALLEST
from models.progress import Progress
from models.stored_graph import SerializedGraph


class VersionGraphs(NamedTuple):
    """The graphs of a version.

    Attributes:
        source: with explicit normalisation layers.
        folded: with these folded; parallel branches are merged.
        observed: None where no layer is observed.
        layers: all that are observed, or say why they are not.
        outputs: of the folded layers in the source graph, by layer.
    """

    source: SerializedGraph
    folded: SerializedGraph
    observed: SerializedGraph | None
    layers: Sequence[WatchedLayer]
    outputs: Mapping[str, str]


def check_version(
    graphs: VersionGraphs,
    inputs: Sequence[TensorSpec],
    probed: Probe,
    oracle: Run | None,
    rows: Arrays | None,
    tolerance: float | None,
    progress: Progress,
) -> Parity:
    """Compare the graphs of a version, as `models.parity.check.check` does, or say why they are not compared.

    Where nothing was folded, a difference is such a reason.

    Args:
        graphs: of the version.
        inputs: of all graphs.
        probed: what running the source graph has shown.
        oracle: the network itself, to compare the graphs with; the source graph when absent.
        rows: real rows to compare on besides random ones.
        tolerance: bound on the differences; derived from the source graph by default.
        progress: of the comparison.

    Raises:
        ParityError: a folded graph differs from its source.
        GraphError: onnxruntime cannot load or run a graph.
    """
    if probed.run_problem is not None:
        return _skipped(probed.run_problem)
    norm_layers = tuple(layer for layer in graphs.layers if isinstance(layer, NormLayer) and layer.unwatched is None)
    try:
        return check(
            _watch_source(graphs.source, graphs.outputs, norm_layers),
            graphs.folded,
            WatchedGraph(graphs.observed or graphs.folded, norm_layers),
            inputs,
            oracle,
            rows,
            tolerance=tolerance,
            has_batch_axis=probed.batch_problem is None,
            positive=probed.positive,
            progress=progress,
        )
    except ParityError as error:
        if graphs.outputs:
            raise
        return _skipped(str(error))


def _skipped(reason: str) -> Parity:
    return Parity(rows=0, seed=0, tolerance=SMALLEST, comparisons=(), skipped=reason)


def _watch_source(source: SerializedGraph, outputs: Mapping[str, str], layers: Sequence[NormLayer]) -> WatchedGraph:
    """The source graph with the moments of its layers' own outputs, which are the tensors `outputs` by layer.

    Layers of which not even the rank of the output is known are left out.
    """
    if not layers:
        return WatchedGraph(source)
    own = tuple(
        layer.model_copy(update={"placement": Placement(kind="folded_back", tensor=outputs[layer.name])})
        for layer in layers
    )
    ranked = change(source, partial(with_ranks, tensors=[layer.placement.tensor for layer in own]))
    editor = GraphEditor(split_model(ranked)[0])
    own = tuple(layer for layer in own if editor.shape(layer.placement.tensor) is not None)
    return WatchedGraph(change(ranked, partial(observe, layers=own)), own)
