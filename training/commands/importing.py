"""The command `import`: networks that others have trained."""

# ruff: noqa: PLC0415

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from models.progress import ProgressLine
from models.repository.repository import Repository, validate_model_name
from training.commands.parameters import HalfWeights, PublishedJson, Target, WatchImage, WatchMargin
from training.output import Output


def import_(
    source: str,
    *,
    name: str,
    labels: str = "",
    reference: Path | None = None,
    preprocessing: Path | None = None,
    state_dict: Path | None = None,
    weights: Path | None = None,
    input_shape: str = "",
    tolerance: float | None = None,
    max_batch_rows: Annotated[int | None, Parameter(validator=Number(gte=1, lte=1 << 16))] = None,
    batch_wait_ms: Annotated[float | None, Parameter(validator=Number(gte=0, lte=60_000))] = None,
    inline_ms: Annotated[float | None, Parameter(validator=Number(gte=0, lte=60_000))] = None,
    watch_image: WatchImage = False,
    watch_margin: WatchMargin = False,
    half_weights: HalfWeights = False,
    repository: Target = "repository",
    json: PublishedJson = False,
) -> None:
    """Publish an ONNX file, a Keras model, or a torch network that your code builds.

    Args:
        source: ONNX file; or .keras file, for which Keras must be installed; or package.module:function, a function
            without arguments that returns a torch network, or one and its example inputs.
        name: Name of the model in the repository.
        labels: Names of the classes in the order of the first output, separated by commas.
        reference: At least 64 rows that the network was not trained on: .npy, .npz or .csv file, or folder of PNG and
            JPEG images. They set the thresholds of drift alarms; without, the model is watched but raises no alarms.
        preprocessing: JSON file that says how images become rows: mode (grey or rgb), height, width, scale, mean, std.
        state_dict: .safetensors file of the network, or .keras file of the model, that the ONNX file was exported from.
            Normalisation layers that the exporter merged into others are put back by it.
        weights: .safetensors file with the state dict of the network that the function builds.
        input_shape: Shape of a row of the only input, e.g. 3,224,224. By default that of example inputs or --reference.
        tolerance: Largest difference of the graphs, relative to the largest output. Follows from rounding by default.
        max_batch_rows: Rows per run, for requests that are batched. The service's setting by default.
        batch_wait_ms: Time that a batch waits for more requests while it is not full. The service's setting by default.
        inline_ms: Runs expected to be shorter are not batched. The service's setting by default.
    """
    from models.manifest import Batching
    from models.model_info import ModelInfo
    from training import report
    from training.imports import Import, parse_shape, read_preprocessing

    validate_model_name(name, "name")
    target = Repository(repository)
    target.validate_writable()
    batching = Batching(max_batch_rows=max_batch_rows, batch_wait_ms=batch_wait_ms, inline_ms=inline_ms)
    info = ModelInfo(
        name,
        labels=labels.split(",") if labels else None,
        preprocessing=None if preprocessing is None else read_preprocessing(preprocessing),
        batching=batching if batching != Batching() else None,
        watch_image=watch_image,
        watch_margin=watch_margin,
        half_weights=half_weights,
    )
    shape = parse_shape(input_shape)
    with ProgressLine("import") as progress:
        bundle = Import(source, info, reference, tolerance, state_dict, weights, shape, progress).make_bundle()
    output = Output(as_json=json)
    output.say(report.bundle(bundle.manifest))
    output.publish(target, bundle)
