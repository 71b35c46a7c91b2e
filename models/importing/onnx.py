"""Any ONNX file -> a bundle."""

from collections.abc import Sequence
from pathlib import Path

import onnx

from models.assemble import assemble, signed_lineage
from models.datatypes import Arrays, Run
from models.drift.calibration import MIN_HELD_OUT_ROWS
from models.errors import GraphError, InvalidInput
from models.graph.biases import repair_biases
from models.graph.find import OP_TYPE
from models.graph.interface import serve_tensors
from models.graph.load import decode, serialize, validate
from models.graph.nodes import integers, is_standard, nested
from models.graph.weights import WeightFiles, split_model
from models.importing.exporters import advice, can_have_merged
from models.importing.external_data import copy_external_data
from models.importing.functions import inline_norm_layers
from models.importing.merged import find_merged
from models.importing.operators import translate_operators
from models.importing.restore import restore
from models.importing.trained import TrainedParameters
from models.manifest import Capability
from models.model_info import ModelInfo
from models.parity import rounding
from models.parity.comparison import compare
from models.parity.rows import needs_positive
from models.progress import Progress, silent
from models.repository import held_out as held_out_file
from models.repository.bundle import FOLDED_WEIGHTS, SOURCE_WEIGHTS, Bundle
from models.rows import random_rows, validate_rows
from models.runtime.load import load
from models.runtime.specs import specs
from models.stored_graph import NO_WEIGHTS, Weights, join

_LINEAR = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""What exporters merge normalisation layers into."""

_NO_NORM_LAYERS = (
    "the graph has no BatchNormalization node. If the network has such layers, its exporter has merged them, and their "
    "statistics are not in the file. To import it with its layers"
)

_MOST_NAMES = 5
"""Layers that a message names."""


def read(path: Path) -> tuple[onnx.ModelProto, Weights]:
    """The graph of an ONNX file, and the files that its weights are in: copies, so that it may change afterwards.

    Raises:
        InvalidInput: there is no such file.
        ExternalData: it keeps tensors in files that may not be read, or in more than a bundle can hold.
        GraphError: it is not ONNX.
    """
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder: name the ONNX file in it")
    if not path.is_file():
        raise InvalidInput(f"there is no file {path}")
    model = decode(path.read_bytes())
    translate_operators(model)
    weights = copy_external_data(model, path.parent)
    validate(model, weights)
    return split_model(WeightFiles().store(model, SOURCE_WEIGHTS, weights))


def import_graph(
    source: onnx.ModelProto,
    info: ModelInfo,
    held_out: Arrays | None = None,
    tolerance: float | None = None,
    oracle: Run | None = None,
    trained: TrainedParameters | None = None,
    weights: Weights = NO_WEIGHTS,
    progress: Progress = silent,
) -> Bundle:
    """Make the bundle of a source graph.

    A graph that cannot be folded or has no batch axis is imported as it is, and one whose exporter merged layers is not
    re-calibrated: the manifest has the reasons, and what to do. A folded graph is compared with the source graph on
    random rows. The manifest records how, and the tolerance.

    Args:
        source: the graph.
        info: name, labels, preprocessing and the like.
        held_out: rows that the network was not trained on, for every input. The graphs are compared on some of them,
            they set the thresholds of drift alarms, and some are kept in the bundle.
        tolerance: bound on the largest difference, relative to the largest value of the output; by default derived
            from what rounding changes in the source graph.
        oracle: the network itself, to compare the graphs with; the source graph by default.
        trained: parameters of the network that the graph was exported from. Layers that the exporter merged or
            decomposed are put back by them.
        weights: files that tensors of the graph are in, as `read` returns them.
        progress: of the import.

    Raises:
        InvalidInput: as `assemble`; or the rows are not the model's, or too few for thresholds.
        GraphError: the graph cannot be served, or has not all layers of the trained network; the message says what to
            do.
    """
    served, warnings = serve_tensors(repair_biases(inline_norm_layers(source), weights))
    if held_out is not None:
        _validate_held_out(held_out, served, weights)
    if trained is None:
        graph, merged = served, tuple(str(layer) for layer in find_merged(served, weights) if layer.certain)
    else:
        graph, merged = _restore(served, trained, weights)
        if merged:
            raise GraphError(_describe_merged(served, merged))
    limits: dict[Capability, str] = {}
    if merged:
        limits["recalibration"] = "the exporter merged layers, and re-calibrating those that are left would be wrong"
        warnings = (_describe_merged(served, merged), *warnings)
    elif can_have_merged(served) and not _has_node(graph, OP_TYPE) and _has_node(graph, *_LINEAR):
        warnings = (f"{_NO_NORM_LAYERS}, {advice(served)}", *warnings)
    return assemble(
        graph,
        info,
        signed_lineage("imported"),
        weights=weights,
        rows=held_out,
        held_out=None if held_out is None else held_out_file.keep(held_out),
        oracle=oracle,
        tolerance=tolerance,
        allow_unfolded=True,
        limits=limits,
        warnings=warnings,
        progress=progress,
    )


def _has_node(model: onnx.ModelProto, *op_types: str) -> bool:
    return any(is_standard(inner, *op_types) for node in model.graph.node for inner in (node, *nested(node)))


def _restore(
    source: onnx.ModelProto, trained: TrainedParameters, weights: Weights
) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """The graph with the trained network's layers, and the names of those that are not in it.

    Raises:
        GraphError: no layer is in it.
        ParityError: it does not compute the same as the given one.
    """
    restored = restore(source, trained, weights)
    if len(restored.missing) == len(trained.layers):
        raise GraphError(f"no layer of {trained.source} is in the graph: {_explain_no_layer(source)}")
    files = WeightFiles()
    before = files.store(source, SOURCE_WEIGHTS, weights)
    after = files.store(restored.model, FOLDED_WEIGHTS, weights)
    inputs, _ = specs(before)
    run = load(before, optimize=False)
    rows = random_rows(inputs, 3, seed=0, positive=needs_positive(run, inputs))
    expected = run(rows)
    changes = rounding.measure([(expected, run(rounding.round_differently(rows, 0, rounding.narrowest_unit(source))))])
    tolerances = {name: rounding.tolerance(change) for name, change in changes.items()}
    del run  # a session has a copy of the weights
    pairs = [(expected, load(after, optimize=False)(rows))]
    compare("the file", "the file with its layers put back", pairs, tolerances)
    return restored.model, restored.missing


def _explain_no_layer(source: onnx.ModelProto) -> str:
    means = [node for node in source.graph.node if is_standard(node, "ReduceMean")]
    if any(0 in integers(node, "axes") and len(integers(node, "axes")) > 1 for node in means):
        return (
            "it normalises by the rows of a request, as in training. Some of Keras' layers for images switch that on "
            "(Resizing, CenterCrop): export keras.Model(model.inputs, model(model.inputs, training=False))"
        )
    return "is it of another network, or trained further?"


def _describe_merged(source: onnx.ModelProto, merged: Sequence[str]) -> str:
    """All that is wrong with a file whose layers are not all there, and what to do."""
    left = sum(is_standard(node, OP_TYPE) for node in source.graph.node)
    names = ", ".join(merged[:_MOST_NAMES]) + (
        f" and {len(merged) - _MOST_NAMES} more" if len(merged) > _MOST_NAMES else ""
    )
    problems = [
        f"normalisation layers were merged by the exporter, and their statistics are not in the file: {names}",
        f"{left} layers are left, and re-calibrating these alone would be wrong"
        if left
        else "no layer is left to watch and re-calibrate",
    ]
    if any(value.type.tensor_type.shape.dim[:1] and not _is_free(value) for value in source.graph.input):
        problems.append("the number of rows is fixed, so that rows cannot be batched, watched or collected")
    return f"{'; '.join(problems)}. To import it with its layers, {advice(source)}."


def _is_free(value: onnx.ValueInfoProto) -> bool:
    return not value.type.tensor_type.shape.dim[0].HasField("dim_value")


def _validate_held_out(rows: Arrays, source: onnx.ModelProto, weights: Weights) -> None:
    inputs, _ = specs(join(serialize(source), weights))
    count = validate_rows(rows, inputs, "reference")
    if count < MIN_HELD_OUT_ROWS:
        raise InvalidInput(f"got {count} rows, thresholds need at least {MIN_HELD_OUT_ROWS}", "reference")
