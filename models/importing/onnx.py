"""Any ONNX file with normalisation layers -> a bundle."""

from pathlib import Path

import onnx

from models.assemble import ModelInfo, assemble, signed_lineage
from models.datatypes import Arrays
from models.drift.calibration import MIN_HELD_OUT_ROWS
from models.errors import InvalidInput
from models.graph.load import parse, serialize
from models.repository import held_out as held_out_file
from models.repository.bundle import Bundle
from models.rows import validate_rows
from models.runtime.specs import specs


def read(path: Path) -> onnx.ModelProto:
    """The graph of an ONNX file.

    Raises:
        InvalidInput: there is no such file.
        GraphError: it is not ONNX, or keeps tensors in other files.
    """
    if not path.is_file():
        raise InvalidInput(f"there is no file {path}")
    return parse(path.read_bytes())


def import_graph(
    source: onnx.ModelProto, info: ModelInfo, held_out: Arrays | None = None, tolerance: float | None = None
) -> Bundle:
    """Make the bundle of a source graph.

    The folded graph is compared with the source graph on random rows. The manifest records how, and the tolerance.

    Args:
        source: the graph, as `read` returns it.
        info: name, labels, preprocessing and the like.
        held_out: rows that the network was not trained on, for every input. The graphs are compared on some of them,
            they set the thresholds of drift alarms, and some are kept in the bundle.
        tolerance: bound on the largest difference, relative to the largest value of the output; by default derived
            from what rounding changes in the source graph.

    Raises:
        InvalidInput: as `assemble`; or the rows are not the model's, or too few for thresholds.
        GraphError: the graph cannot be served; the message says why.
    """
    if held_out is not None:
        _validate_held_out(held_out, source)
    return assemble(
        source,
        info,
        signed_lineage("imported"),
        rows=held_out,
        held_out=None if held_out is None else held_out_file.keep(held_out),
        tolerance=tolerance,
    )


def _validate_held_out(rows: Arrays, source: onnx.ModelProto) -> None:
    inputs, _ = specs(serialize(source))
    count = validate_rows(rows, inputs, "held-out")
    if count < MIN_HELD_OUT_ROWS:
        raise InvalidInput(f"got {count} rows, thresholds need at least {MIN_HELD_OUT_ROWS}", "held-out")
