"""Writes graphs as onnxruntime rewrites them for this processor."""

import tempfile
from pathlib import Path

from models.errors import GraphError
from models.runtime.session import open_session
from models.stored_graph import SerializedGraph, StoredGraph

_MODEL, _WEIGHTS = "model.onnx", "weights"


def rewrite(graph: SerializedGraph) -> StoredGraph:
    """The graph after onnxruntime's own optimisations, its large weights in a file.

    Raises:
        GraphError: onnxruntime cannot load or write it.
        OSError: there is no place for temporary files.
    """
    with tempfile.TemporaryDirectory(prefix="denge-") as folder:
        path = Path(folder, _MODEL)
        open_session(graph, write_to=path, weights_name=_WEIGHTS)
        try:
            return StoredGraph(path.read_bytes(), {_WEIGHTS: path.with_name(_WEIGHTS).read_bytes()})
        except FileNotFoundError as error:
            raise GraphError("onnxruntime has written no weights") from error
