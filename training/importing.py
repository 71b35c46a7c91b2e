"""Any ONNX file with normalisation layers -> a bundle. Works without torch."""

from collections.abc import Sequence
from pathlib import Path

from models.datatypes import Arrays
from models.drift import calibration
from models.errors import InvalidInput
from models.graph.load import parse, serialize
from models.manifest import Batching, TensorSpec
from models.parity.check import TOLERANCE
from models.repository.bundle import Bundle
from models.rows import validate_rows
from models.runtime.specs import specs
from training import row_files
from training.packing import pack


def read_bundle(
    path: Path,
    name: str,
    labels: Sequence[str] | None = None,
    tolerance: float = TOLERANCE,
    batching: Batching | None = None,
    held_out: Path | None = None,
) -> Bundle:
    """Make a bundle of somebody's ONNX file.

    Its folded graph is compared with the file itself on random rows. A deep network in float32, or any in float16, can
    differ by more than the usual tolerance through rounding alone; the one that was used is recorded.

    Args:
        path: the file; it must hold all of its tensors itself.
        name: of the model.
        labels: names of the classes, in the order of the first output.
        tolerance: bound on the largest difference, relative to the largest value of the output.
        batching: how requests to it are joined, where not as the service's settings say.
        held_out: a file, as `row_files.read` takes it, of rows that the network did not learn from. They are compared
            on, and set the thresholds of drift alarms, of which there are none without.

    Raises:
        InvalidInput: there is no such file, the labels are not as many as the classes, or the rows are not the model's.
        GraphError: the file cannot be served; the message says why.
    """
    if not path.is_file():
        raise InvalidInput(f"there is no file {path}")
    source = parse(path.read_bytes())
    real = None if held_out is None else _held_out(held_out, specs(serialize(source))[0])
    return pack(name, source, origin="imported", labels=labels, tolerance=tolerance, batching=batching, real=real)


def _held_out(path: Path, inputs: Sequence[TensorSpec]) -> Arrays:
    rows = row_files.read(path, "held-out", inputs)
    if validate_rows(rows, inputs, "held-out") < calibration.MIN_HELD_OUT_ROWS:
        raise InvalidInput(f"thresholds need at least {calibration.MIN_HELD_OUT_ROWS} rows", "held-out")
    return rows
