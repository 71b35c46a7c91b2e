"""Import Keras' applications: ``python -m benchmarks.keras_applications exports --write docs/importing.md``.

`benchmarks/keras_applications/export.py` makes the exports. For each: the layers in the model and those found again in
the graph, how many fold, the largest difference from Keras' own results relative to their largest value, and the time
of the import. A model has random weights and statistics, and images of 64 or 96 pixels.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import onnx

from benchmarks.pages import write_between
from models.errors import DengeError
from models.importing import keras_file
from models.importing.onnx import import_graph, read
from models.model_info import ModelInfo
from models.runtime.load import load

HEADER = (
    "| application | exported by | BN nodes in the file | layers | found | folded | kept "
    "| largest difference from Keras | seconds |\n|---|---|---|---|---|---|---|---|---|\n"
)


def measure(stem: Path) -> str:
    """A row of the table."""
    name, _, backend = stem.name.partition("-")
    expected = np.load(stem.with_suffix(".npz"))
    graph, weights = read(stem.with_suffix(".onnx"))
    nodes = sum(node.op_type == "BatchNormalization" for node in graph.graph.node)
    start = time.perf_counter()
    try:
        trained = keras_file.read(stem.with_suffix(".keras"))
        bundle = import_graph(graph, ModelInfo(name), trained=trained, weights=weights)
    except DengeError as error:  # a row of the table as well
        return f"| {name} | {backend} | {nodes} | {expected['layers']} | refused: {str(error)[:80]}... | | | | |"
    seconds = time.perf_counter() - start
    found = bundle.manifest.norm_layers
    kept = sum(layer.placement.kind == "kept" for layer in found)
    rows = {bundle.manifest.inputs[0].name: expected["rows"]}
    scores = next(iter(load(bundle.folded, optimize=True)(rows).values()))
    difference = np.abs(scores - expected["scores"]).max() / np.abs(expected["scores"]).max()
    return (
        f"| {name} | {backend}, {graph.producer_name} | {nodes} | {expected['layers']} | {len(found)} | "
        f"{len(found) - kept} | {kept} | {difference:.1e} | {seconds:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("exports", type=Path)
    parser.add_argument("--only", default="", help="name of one application and backend")
    parser.add_argument("--write", type=Path, help="page with the part keras_applications")
    arguments = parser.parse_args()
    rows = []
    for path in sorted(arguments.exports.glob(f"{arguments.only}*.npz")):
        rows.append(measure(path.with_suffix("")))
        print(rows[-1], flush=True)
    if arguments.write:
        made = f"\n\nMade by `python -m benchmarks.keras_applications` with onnx {onnx.__version__}."
        write_between(arguments.write, "keras_applications", HEADER + "\n".join(rows) + made)


if __name__ == "__main__":
    main()
