"""Import unusual Keras models: ``python -m benchmarks.keras_models exports --write docs/importing.md``.

`benchmarks/keras_models/export.py` makes the exports. Each is imported with its .keras file, as Keras and as tf2onnx
exported it: the layers found again in the graph (one for each time that a layer runs), how many fold, and the largest
difference from Keras' own results relative to their largest value.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx

from benchmarks.pages import write_between
from models.datatypes import Arrays
from models.errors import DengeError
from models.importing import keras_file
from models.importing.onnx import import_graph, read
from models.model_info import ModelInfo
from models.repository.bundle import Bundle
from models.runtime.load import load

HEADER = (
    "| model | exported by | layers | found | folded | kept | with proof | largest difference from Keras |\n"
    "|---|---|---|---|---|---|---|---|\n"
)
EXPORTERS = {".keras.onnx": "Keras", ".tf.onnx": "tf2onnx"}


def difference(bundle: Bundle, arrays: Arrays) -> float:
    """Of the folded graph from Keras; inputs and outputs are told by their shapes."""
    rows = [arrays[name] for name in arrays if name.startswith("in")]
    expected = [arrays[name] for name in arrays if name.startswith("out")]
    given = {
        spec.name: next(
            value
            for value in rows
            if all(size in (-1, own) for size, own in zip(spec.shape, value.shape, strict=False))
            and len(spec.shape) == value.ndim
        )
        for spec in bundle.manifest.inputs
    }
    found = load(bundle.folded, optimize=True)(given).values()
    return max(
        min(float(np.abs(value - one).max() / np.abs(one).max()) for one in expected if one.shape == value.shape)
        for value in found
    )


def measure(stem: Path, suffix: str) -> str:
    """A row of the table."""
    arrays = np.load(stem.with_suffix(".npz"))
    start = f"| {arrays['name']} | {EXPORTERS[suffix]} | {arrays['layers']} |"
    path = stem.with_suffix(suffix)
    if not path.exists():
        return f"{start} not exported | | | | |"
    try:
        graph, weights = read(path)
        trained = keras_file.read(stem.with_suffix(".keras"))
        bundle = import_graph(graph, ModelInfo("model"), trained=trained, weights=weights)
    except DengeError as error:  # a row of the table as well
        return f"{start} refused: {str(error).split('. ')[0].splitlines()[0]} | | | | |"
    layers = bundle.manifest.norm_layers
    kept = [layer for layer in layers if layer.placement.kind == "kept"]
    proven = sum(layer.placement.proven for layer in kept)
    counts = f"{len(layers)} | {len(layers) - len(kept)} | {len(kept)} | {proven}"
    return f"{start} {counts} | {difference(bundle, arrays):.1e} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("exports", type=Path)
    parser.add_argument("--write", type=Path, help="page with the part keras_models")
    arguments = parser.parse_args()
    rows = []
    for path in sorted(arguments.exports.glob("*.npz"), key=lambda path: path.stat().st_mtime):
        for suffix in EXPORTERS:
            rows.append(measure(path.with_suffix(""), suffix))
            print(rows[-1], flush=True)
    if arguments.write:
        made = f"\n\nMade by `python -m benchmarks.keras_models` with onnx {onnx.__version__}."
        write_between(arguments.write, "keras_models", HEADER + "\n".join(rows) + made)


if __name__ == "__main__":
    main()
