"""The graphs that a version is compared by, made from a source graph."""

from typing import Any

import onnx

from models.graph.find import find
from models.graph.fold import Folded, fold
from models.graph.load import serialize
from models.graph.observe import observe
from models.manifest import Parity, Placement
from models.parity.check import WatchedGraph, check
from models.runtime.specs import specs


def checked(source: onnx.ModelProto, folded: Folded | None = None, **options: Any) -> Parity:
    """The comparison of a source graph with its fold, or with another one."""
    folded = folded or fold(source)
    layers = fold(source).norm_layers
    own = tuple(
        layer.model_copy(update={"placement": Placement(kind="folded_back", tensor=found.output)})
        for layer, found in zip(layers, find(source), strict=True)
    )
    return check(
        WatchedGraph(serialize(observe(source, own)), own),
        serialize(folded.model),
        WatchedGraph(serialize(observe(folded.model, folded.norm_layers)), folded.norm_layers),
        specs(serialize(source))[0],
        **options,
    )
