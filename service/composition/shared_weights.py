"""The weights that a served graph and its observed graph have in common, in memory once."""

import structlog

from models.errors import DengeError
from models.memory import release_freed
from models.runtime.engine import Engine
from models.runtime.rewriting import rewrite
from models.runtime.shared_graph import SharedGraph
from models.stored_graph import SerializedGraph, size_of, split
from service.wire.graph_weights import has_convolutions, read_convolutions

log = structlog.get_logger()

MIN_BYTES = 8 << 20
MAX_BYTES = 512 << 20
"""Of a graph. A smaller one has few weights, and a larger one may not fit into a folder for temporary files."""


def is_worth_sharing(graph: SerializedGraph) -> bool:
    """Whether a graph is large, and has convolutions: sessions pack the weights of all other layers for themselves."""
    return MIN_BYTES <= size_of(graph) <= MAX_BYTES and has_convolutions(split(graph)[0])


def share_weights(engine: Engine, folded: SerializedGraph, observed: SerializedGraph) -> SerializedGraph | SharedGraph:
    """The observed graph, sharing weights with the folded one, which the engine runs on them from now on.

    This is done when a version is observed for the first time, and not when it is loaded: it takes some tenths of a
    second. Where it is not possible, the observed graph is returned as it is.
    """
    try:
        rewritten = rewrite(folded)
        served = SharedGraph.of(rewritten, read_convolutions(rewritten))
        del rewritten
        if not served.values:
            return observed
        engine.replace_graph(served)
        values = served.values
        del served
        release_freed()
        rewritten = rewrite(observed)
        return SharedGraph.of(rewritten, read_convolutions(rewritten), values)
    except (DengeError, OSError) as error:
        log.warning("weights_not_shared", error=str(error))
        return observed
