"""Imports one exported network and compares its graphs with torch. A process of its own, without torch.

Prints one line of JSON.
"""

import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from benchmarks.bundles import observed
from models.datatypes import Arrays
from models.errors import DengeError
from models.graph.adapt import adapt
from models.graph.load import parse, serialize
from models.importing.onnx import import_graph, read
from models.model_info import ModelInfo
from models.observation import ObservationReader
from models.repository.bundle import Bundle, pack
from models.runtime.load import load

_ROUNDS = 15


def measure(folder: Path, how: str) -> dict[str, Any]:
    """What importing the graph takes, and how its bundle's graphs differ from torch in float64."""
    path = folder / f"{how}.onnx"
    result: dict[str, Any] = {"size_mb": path.stat().st_size / 1e6}
    before = _peak_mb()
    started = time.perf_counter()
    try:
        source, weights = read(path)
        bundle = import_graph(source, ModelInfo("network"), weights=weights)
    except DengeError as error:
        return result | {"refused": f"{type(error).__name__}: {error}", "seconds": time.perf_counter() - started}
    result |= {"seconds": time.perf_counter() - started, "peak_mb": _peak_mb() - before}
    layers = bundle.manifest.norm_layers
    result["found"] = len(layers)
    result["folded"] = sum(layer.placement.kind != "kept" for layer in layers)
    result["proven"] = sum(layer.placement.proven for layer in layers)
    result["kept"] = {layer.name: layer.placement.reason for layer in layers if layer.placement.kind == "kept"}
    result["tolerance"] = bundle.manifest.parity.tolerance
    result["bundle_mb"] = sum(map(len, pack(bundle).values())) / 1e6
    with np.load(folder / "torch.npz") as arrays:
        rows, expected, single, adapted = (arrays[name] for name in ("rows", "expected", "single", "adapted"))
    given = {bundle.manifest.inputs[0].name: rows}
    output = bundle.manifest.outputs[0].name
    largest = np.abs(expected).max()
    result["torch_error"] = np.abs(single - expected).max() / largest
    for name, graph in (("source", bundle.source), ("folded", bundle.folded)):
        errors = [np.abs(load(graph, optimize=flag)(given)[output] - expected).max() for flag in (False, True)]
        result[f"{name}_error"] = max(errors) / largest
    if layers:
        result |= _observed(bundle, given, folder)
        result |= _adapted(parse(bundle.source), given, output, adapted, folder)
    return result | _speed(bundle, given)


def _observed(bundle: Bundle, given: Arrays, folder: Path) -> dict[str, Any]:
    """Largest difference of moments to those of forward hooks, in z units, relative to the largest of the layer."""
    outputs = load(observed(bundle), optimize=True)(given)
    found = ObservationReader(bundle.manifest.norm_layers, outputs).read(outputs)
    worst = 0.0
    with np.load(folder / "observed.npz") as hooks:
        matched = sorted(set(hooks) & set(found))
        for name in matched:
            for actual, expected in zip((found[name].mean, found[name].mean_square), hooks[name], strict=True):
                worst = max(worst, np.abs(actual - expected).max() / max(1.0, np.abs(expected).max()))
    return {"watched": len(matched), "moments_error": worst}


def _adapted(
    source: onnx.ModelProto, given: Arrays, output: str, expected: NDArray[Any], folder: Path
) -> dict[str, Any]:
    """Largest differences of the adaptive graph to AdaBN in torch."""
    adaptive = adapt(source)
    outputs = load(serialize(adaptive.model), optimize=True)(given | {adaptive.prior_weight: np.array(0, np.float32)})
    worst = 0.0
    with np.load(folder / "statistics.npz") as statistics:
        for name in set(statistics) & set(adaptive.layers):
            mean, var = statistics[name]
            deviation = np.sqrt(var + var.max() * 1e-3)
            found = adaptive.layers[name]
            worst = max(worst, np.abs((outputs[found.batch_mean] - mean) / deviation).max())
            worst = max(worst, np.abs((outputs[found.batch_var] - var) / deviation**2).max())
    return {
        "adapted_error": np.abs(outputs[output] - expected).max() / np.abs(expected).max(),
        "statistics_error": worst,
    }


def _speed(bundle: Bundle, given: Arrays) -> dict[str, Any]:
    """Median time of a row in the folded graph, relative to that in the source graph as onnxruntime optimises it."""
    row = {name: values[:1] for name, values in given.items()}
    sessions = [_session(serialize(parse(graph))) for graph in (bundle.source, bundle.folded)]
    seconds: list[list[float]] = [[], []]
    for _ in range(_ROUNDS):
        for session, times in zip(sessions, seconds, strict=True):
            started = time.perf_counter()
            session.run(None, row)
            times.append(time.perf_counter() - started)
    source, folded = (median(times[2:]) for times in seconds)
    return {"source_ms": source * 1000, "folded_ms": folded * 1000}


def _session(graph: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _peak_mb() -> float:
    """The most memory that this process has had. getrusage would begin with that of the process that started it."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), sys.argv[2]), default=float))
