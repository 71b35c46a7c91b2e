"""A source graph -> the bundle that is published: folded, compared, described."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import onnx

from models import watched
from models.datatypes import Arrays, Run
from models.errors import GraphError, InvalidInput
from models.graph.fold import fold
from models.graph.load import serialize
from models.manifest import MODEL_NAME, Batching, ImagePreprocessing, Lineage, Manifest, TrainingRecord
from models.parity.check import TOLERANCE, check_folded
from models.repository import held_out
from models.repository.bundle import Bundle
from models.runtime.specs import specs
from models.version import PROGRAM


def pack(
    name: str,
    source: onnx.ModelProto,
    *,
    origin: Literal["trained", "imported"],
    labels: Sequence[str] | None = None,
    preprocessing: ImagePreprocessing | None = None,
    training: TrainingRecord | None = None,
    batching: Batching | None = None,
    oracle: Run | None = None,
    real: Arrays | None = None,
    tolerance: float = TOLERANCE,
) -> Bundle:
    """Fold the graph, compare it with what it comes from, and describe it.

    Args:
        name: of the model.
        source: a graph with explicit normalisation layers.
        origin: whether it was trained here.
        labels: names of the classes, in the order of the first output.
        preprocessing: how an image becomes a row of the input.
        training: how the weights came about.
        batching: how requests to it are joined, where not as the service's settings say.
        oracle: the network itself, as in `models.parity.check.check_folded`.
        real: rows that the network did not learn from: compared on, some of them kept in the
            bundle, and the measure of what is unusual.
        tolerance: of its comparisons.

    Raises:
        InvalidInput: the name cannot be a model's, the labels are not as many as the classes, or the tolerance is
            not positive.
        GraphError: the graph has no normalisation layer, or one of the kinds of that error's docstring.
    """
    require_name(name)
    if not tolerance > 0:
        raise InvalidInput("must be more than 0", "tolerance")
    folded = fold(source)
    if not folded.norm_layers:
        raise GraphError(
            "the graph has no BatchNormalization node. If the network has such layers, its exporter has folded them "
            "and what they knew is lost: export it again without, e.g. by torch.onnx.export(..., optimize=False)"
        )
    source_bytes, folded_bytes = serialize(source), serialize(folded.model)
    inputs, outputs = specs(source_bytes)
    report = check_folded(source_bytes, folded_bytes, inputs, oracle, real, tolerance=tolerance)
    watching = watched.watch(folded.model, folded.norm_layers, inputs, outputs, real)
    classes = outputs[0].shape[-1]
    if labels is not None and classes not in (-1, len(labels)):
        raise InvalidInput(f"{len(labels)} labels for the {classes} values of output '{outputs[0].name}'", "labels")
    manifest = Manifest(
        model=name,
        inputs=inputs,
        outputs=outputs,
        labels=tuple(labels) if labels is not None else None,
        scores=_scores(source),
        preprocessing=preprocessing,
        batching=batching,
        norm_layers=folded.norm_layers,
        parity=report.model_copy(update={"comparisons": (*report.comparisons, watching.comparison)}),
        drift=watching.drift,
        lineage=Lineage(origin=origin, created_at=datetime.now(UTC), created_by=PROGRAM),
        training=training,
    )
    kept = held_out.pack(held_out.choose(real)) if real is not None else None
    return Bundle(manifest, folded=folded_bytes, source=source_bytes, reference=kept, observed=watching.observed)


def require_name(name: str) -> None:
    """Check a model's name before the work rather than after it.

    Raises:
        InvalidInput: it cannot be a folder's name and part of a URL.
    """
    if not MODEL_NAME.fullmatch(name):
        raise InvalidInput("must be 1 to 128 letters, digits, dots, dashes or underscores, the first no mark", "name")


def require_repository(folder: Path) -> None:
    """Check where a bundle shall go before the work rather than after it.

    Raises:
        InvalidInput: there is something else, or it may not be written.
    """
    if folder.exists() and not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise InvalidInput(f"{folder} is not a folder that may be written", "repository")


def _scores(graph: onnx.ModelProto) -> Literal["logits", "probabilities"]:
    output = graph.graph.output[0].name
    is_softmax = any(node.op_type == "Softmax" and output in node.output for node in graph.graph.node)
    return "probabilities" if is_softmax else "logits"
