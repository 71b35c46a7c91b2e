"""A user's own torch network -> a published version: what ``from training import publish`` gives."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from models.datatypes import Array, Arrays
from models.errors import InvalidInput
from models.importing.onnx import import_graph
from models.manifest import ImagePreprocessing
from models.model_info import ModelInfo
from models.progress import Progress, silent
from models.repository.bundle import Bundle
from models.repository.repository import Repository, validate_model_name
from training.example_inputs import ExampleInputs, Inputs
from training.export import export

Rows = Tensor | Array | Mapping[str, Tensor | Array]
"""Rows of a network's only input, or of each input by name."""


def publish(
    module: nn.Module,
    example_inputs: Inputs,
    *,
    name: str,
    reference_rows: Rows | None = None,
    labels: Sequence[str] | None = None,
    preprocessing: ImagePreprocessing | None = None,
    description: str = "",
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    tolerance: float | None = None,
    watch_image: bool = False,
    watch_margin: bool = False,
    half_weights: bool = False,
    repository: Path | str = "repository",
) -> int:
    """Publish a network with batch normalisation as the next version of a model, and return the version.

    The network is not changed. Its graphs are compared with it in float64 before anything is published.

    Args:
        module: in evaluation mode: call ``module.eval()`` first.
        example_inputs: one row or more for every input: a tensor, tensors in the order of the arguments, or tensors by
            the names of the arguments. The first axis is the batch, whose rows do not depend on each other.
        name: of the model in the repository.
        reference_rows: at least 64 rows that the network was not trained on. They set the thresholds of drift alarms;
            without, the model is watched but raises no alarms.
        labels: names of the classes in the order of the first output.
        preprocessing: how an image becomes a row, for requests with images.
        description: of the model, for people.
        input_names, output_names: in requests and responses; those of the network's arguments and results by default.
        tolerance: bound on the largest difference from the network, relative to the largest value of the output; by
            default derived from the network's own rounding.
        watch_image: watch the pixels of an image too, for shifts of geometry and sharpness; takes `reference_rows`.
        watch_margin: watch how sure the network is of its class too, for shifts that hardly move the layers; takes
            `reference_rows`.
        half_weights: store the weights in half precision, if that does not change the answers.
        repository: folder to publish into, or URL of a bucket.

    Raises:
        InvalidInput: the name, the inputs, rows or labels are wrong, or the repository cannot be written.
        TrainingModeGraph, MissingStatistics, GraphError: the network cannot be exported or served.
        ParityError: a graph does not compute the same as the network, or half precision changes its answers.
    """
    validate_model_name(name, "name")
    target = Repository(repository)
    target.validate_writable()
    info = ModelInfo(
        name,
        description=description,
        labels=labels,
        preprocessing=preprocessing,
        watch_image=watch_image,
        watch_margin=watch_margin,
        half_weights=half_weights,
    )
    return target.publish(
        make_bundle(
            module,
            example_inputs,
            info,
            reference_rows,
            input_names=input_names,
            output_names=output_names,
            tolerance=tolerance,
        )
    )


def make_bundle(
    module: nn.Module,
    example_inputs: Inputs,
    info: ModelInfo,
    reference_rows: Rows | None = None,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    tolerance: float | None = None,
    progress: Progress = silent,
) -> Bundle:
    """Make the bundle of a network; arguments and errors are those of `publish`, and the progress is shown."""
    names = ExampleInputs.of(module, example_inputs, input_names).names
    rows = None if reference_rows is None else _by_name(reference_rows, names)
    exported = export(module, example_inputs, input_names=input_names, output_names=output_names)
    return import_graph(exported.graph, info, rows, tolerance, oracle=exported.oracle, progress=progress)


def _by_name(rows: Rows, names: Sequence[str]) -> Arrays:
    if isinstance(rows, Mapping):
        return {name: _array(values) for name, values in rows.items()}
    if len(names) != 1:
        raise InvalidInput(
            f"the network has several inputs: give the rows of each by name: {', '.join(names)}", "reference_rows"
        )
    return {names[0]: _array(rows)}


def _array(rows: Tensor | Array) -> Array:
    return rows.detach().cpu().numpy() if isinstance(rows, Tensor) else np.asarray(rows)
