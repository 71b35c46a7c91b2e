"""Train, import, re-calibrate and inspect models: ``python -m training <command>``.

Exit codes: 0 for success, 2 for wrong arguments or input (nothing was started), 1 for any other failure.

Commands import what they need when they run, so that `--help` is fast and most of them work without torch.
"""

# ruff: noqa: PLC0415

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from models.progress import ProgressLine
from models.repository.bundle import Bundle
from models.repository.repository import Repository, validate_model_name
from training.config import Config, DataKind, ModelKind
from training.exit_codes import run as run_command
from training.output import Output
from training.quantization import quantize
from training.studies.command import study

app = App(name="python -m training", help=__doc__.partition("\n\n")[0], version_flags=[], result_action="return_value")
app.command(quantize)
app.command(study)


@app.command
def train(
    *,
    model: ModelKind,
    data: DataKind,
    epochs: int = 5,
    batch_size: int = 32,
    learning_rate: float = 0.001,
    seed: int = 0,
    depth: int = 0,
    width: int = 0,
    threads: int = 1,
    data_dir: Path | None = None,
    repository: str = "repository",
    name: str = "",
    run_dir: Path | None = None,
    resume: bool = False,
    watch_layers: bool = False,
    half_weights: bool = False,
    publish: bool = True,
    json: bool = False,
) -> None:
    """Train a network and publish it.

    Started by torchrun, several processes train it together: torchrun --nproc-per-node 4 -m training train ...

    Args:
        model: Network to train.
        data: Data set to train on. "digits" comes with scikit-learn; "mnist" is fetched if it is not in --data-dir. For
            textcnn: "rt-polarity", or "table" for a .csv, .tsv or .txt file with a text and its class in each line.
        epochs: Number of times that the network sees every row.
        batch_size: Rows per step, at least 2, over all processes.
        learning_rate: Learning rate of Adam at the first step. It falls to zero along a half cosine.
        seed: Seed of the initial weights and of every shuffle.
        depth: Hidden layers (mlp), blocks (convnet), weighted layers (resnet: 6n + 2, or 18 or 34), convolutions
            (textcnn) or doublings of the image (dcgan). 0 stands for 1, 3, 8, 3 and 2.
        width: Units (mlp), channels of the first block (convnet, resnet), of each convolution (textcnn) or before the
            image (dcgan). 0 stands for 64, 16, 16, 64 and 16.
        threads: Threads of torch. The last bits of the weights depend on their number.
        data_dir: Folder with the files of the data set, or the file of "table". data/<data> by default.
        repository: Folder to publish into, or URL of a bucket, such as s3://bucket/prefix.
        name: Name of the model in the repository. The network's name if empty.
        run_dir: Folder for the checkpoint. runs/<name> by default.
        resume: Continue from the checkpoint in --run-dir.
        watch_layers: Write statistics of the normalisation layers at every step to <run-dir>/tensorboard, a folder for
            TensorBoard, which must be installed (the extra "tensorboard"), and some of them into the bundle.
        half_weights: Store the weights in half precision, if that does not change the answers.
        publish: Make a bundle of the trained network and publish it.
        json: Print one JSON object, with the path of the version and its manifest, and the rest on the standard error.
    """
    output = Output(as_json=json)
    config = Config(model, data, epochs, batch_size, learning_rate, seed, depth, width, threads)
    name = name or model
    from training import bundle, checkpoint, processes, published_part, run
    from training.data.load import load

    validate_model_name(name, "name")
    target = Repository(repository)
    target.validate_writable()
    dataset = load(data, data_dir)
    rows = run.Rows.of(config, dataset)
    with processes.join() as group:
        folder = run_dir or Path("runs") / name
        network = run.train(
            config, dataset, rows, folder, resume=resume, log=output.say, processes=group, watch_layers=watch_layers
        )
        part = published_part.of(network, dataset, rows)
        if group.rank == 0:
            output.say(part.describe_test())
        metrics = bundle.store_statistics(part, group) if publish else None
    if metrics is not None and group.rank == 0:
        history = checkpoint.read(folder / checkpoint.FILE).history
        made = bundle.make(name, config, part, metrics, history, half_weights=half_weights)
        _publish_new(output, target, made)


@app.command
def export(
    checkpoint: Path,
    *,
    data_dir: Path | None = None,
    half_weights: bool = False,
    repository: str = "repository",
    name: str = "",
    json: bool = False,
) -> None:
    """Publish the network of a checkpoint.

    Args:
        checkpoint: File that `train` wrote.
        data_dir: As for `train`, to estimate population statistics from.
        half_weights: Store the weights in half precision, if that does not change the answers.
        repository: Folder to publish into, or URL of a bucket, such as s3://bucket/prefix.
        name: Name of the model in the repository. The network's name if empty.
        json: Print one JSON object, with the path of the version and its manifest, and the rest on the standard error.
    """
    import torch

    from training import bundle, published_part, run
    from training.checkpoint import read
    from training.data.load import load
    from training.networks.build import build

    output = Output(as_json=json)
    found = read(checkpoint)
    config = found.config
    name = name or config.model
    validate_model_name(name, "name")
    target = Repository(repository)
    target.validate_writable()
    torch.set_num_threads(config.threads)
    dataset = load(config.data, data_dir)
    rows = run.Rows.of(config, dataset)
    network = build(config, dataset)
    found.restore_network(network)
    part = published_part.of(network, dataset, rows)
    output.say(part.describe_test())
    metrics = bundle.store_statistics(part)
    made = bundle.make(name, config, part, metrics, found.history, half_weights=half_weights)
    _publish_new(output, target, made)


@app.command(name="import")
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
    watch_positions: bool = False,
    watch_margin: bool = False,
    half_weights: bool = False,
    repository: str = "repository",
    json: bool = False,
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
        watch_positions: Watch where the values of one layer are too, for shifts of geometry. Takes --reference.
        watch_margin: Watch how sure the network is of its class too. Takes --reference.
        half_weights: Store the weights in half precision, if that does not change the answers.
        repository: Folder to publish into, or URL of a bucket, such as s3://bucket/prefix.
        json: Print one JSON object, with the path of the version and its manifest, and the rest on the standard error.
    """
    from models.manifest import Batching
    from models.model_info import ModelInfo
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
        watch_positions=watch_positions,
        watch_margin=watch_margin,
        half_weights=half_weights,
    )
    shape = parse_shape(input_shape)
    with ProgressLine("import") as progress:
        bundle = Import(source, info, reference, tolerance, state_dict, weights, shape, progress).make_bundle()
    _publish_new(Output(as_json=json), target, bundle)


@app.command
def recalibrate(
    bundle: str,
    *,
    data: str,
    labels: Path | None = None,
    rows: int = 256,
    prior: float | None = None,
    only_moved: bool = False,
    seed: int = 0,
    data_dir: Path | None = None,
    force: bool = False,
    json: bool = False,
) -> None:
    """Estimate the normalisation statistics from unlabelled rows, and publish the result as the next version.

    The default version stays the default. A result that does not pass its gates is not published.

    Args:
        bundle: Folder or URL of a version, or of a model in a repository: then its default version is re-calibrated.
        data: .npy or .npz file of rows for the model's inputs, or of images as pixels; .txt file with a text in each
            line; or "mnist", "digits" or "rt-polarity".
        labels: .npy file with the class of each row, to compare accuracies: -1 where it is not known, -2 for none of
            the model's. Those of data sets are known.
        rows: Number of rows to estimate from, drawn at random.
        prior: Number of rows that the present statistics count for. If absent: estimated for each layer.
        only_moved: Estimate from the rows that have moved alone, where the others are as the held-out rows: for a
            version that answers the rows of its domain.
        seed: Seed of the draw.
        data_dir: Folder with the files of "mnist" or "rt-polarity".
        force: Publish although a gate did not pass. The manifest records it.
        json: Print one JSON object, with the manifest, and the rest on the standard error. Its version is null where a
            gate did not pass.
    """
    from training import recalibration, report

    parent = recalibration.Parent.read(bundle)
    parent.repository.validate_writable()
    given, known = recalibration.read_rows(data, parent.bundle.manifest, data_dir, labels)
    with ProgressLine("recalibrate") as progress:
        candidate, rows_to_label = recalibration.recalibrate(
            parent, given, known, max_rows=rows, prior=prior, only_moved=only_moved, seed=seed, progress=progress
        )
    output = Output(as_json=json)
    output.say(report.gates(candidate.gates))
    output.say(report.estimated_accuracy(*candidate.estimated_accuracy))
    if rows_to_label:
        output.say(report.rows_to_label(rows_to_label))
    output.publish_candidate(parent.repository, candidate, force=force)


@app.command
def inspect(path: str, *, json: bool = False) -> None:
    """Show the normalisation layers of a bundle or an ONNX file: their statistics, and what they are folded into.

    Args:
        path: Folder or URL of a bundle, of a model or of a repository; or ONNX file.
        json: Print JSON: the manifest of a bundle, the layers of a file, or the bundles in a folder.
    """
    from training.inspection import find

    found = find(path)
    Output(as_json=json).result(found.to_text(), found.to_json())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and return the exit code."""
    return run_command(app, arguments)


def _publish_new(output: Output, repository: Repository, bundle: Bundle) -> None:
    from training import report

    output.say(report.bundle(bundle.manifest))
    output.publish(repository, bundle)


if __name__ == "__main__":
    sys.exit(main())
