"""Train, import and inspect the models that the service serves: ``python -m training <command>``.

Exit codes: 0 done, 1 it went wrong, 2 it was asked for wrongly and nothing was started.

The commands import what they need when they run: `import` and `inspect` work where there is no torch, and the help
is there at once.
"""

# ruff: noqa: PLC0415

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter
from cyclopts.validators import Number

from models.errors import DengeError, InvalidInput
from models.repository.bundle import Bundle
from models.repository.repository import Repository, validate_model_name
from training.config import Config, DataKind, ModelKind

app = App(name="python -m training", help=__doc__.partition("\n\n")[0], version_flags=[], result_action="return_value")

_say = partial(print, flush=True)  # epochs take minutes; a log file should show each when it is done


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
    data_dir: Path = Path("data/mnist"),
    repository: Path = Path("repository"),
    name: str = "",
    run_dir: Path | None = None,
    resume: bool = False,
    publish: bool = True,
) -> None:
    """Train a network and publish it.

    Args:
        model: The network.
        data: What it learns from. "digits" comes with scikit-learn; "mnist" is fetched if it is not in --data-dir.
        epochs: How often every row is seen.
        batch_size: Rows a step, at least 2.
        learning_rate: Adam's, at the first step; it falls to zero along a half cosine.
        seed: Of the first weights and every shuffle.
        depth: Hidden layers (mlp), blocks (convnet) or weighted layers (resnet: 6n + 2); 0 for 1, 3 and 8.
        width: Units (mlp) or channels of the first block (convnet, resnet); 0 for 64, 16 and 16.
        threads: Of torch; the last bits of the weights depend on it.
        data_dir: Where MNIST's four files are.
        repository: The folder to publish into.
        name: The model's name in it; the network's when empty.
        run_dir: Where the checkpoint goes; runs/<name> when absent.
        resume: Go on from the checkpoint in --run-dir.
        publish: Make a bundle of the result and publish it.
    """
    config = Config(model, data, epochs, batch_size, learning_rate, seed, depth, width, threads)
    name = name or model
    from training import bundle, run
    from training.data.load import load

    validate_model_name(name, "name")
    Repository(repository).validate_writable()
    dataset = load(data, data_dir)
    rows = run.Rows.of(config, dataset)
    network = run.train(config, dataset, rows, run_dir or Path("runs") / name, resume=resume, say=_say)
    bundle.test(network, dataset, rows, say=_say)
    if publish:
        _publish(repository, bundle.make(name, config, network, dataset, rows, say=_say))


@app.command
def export(
    checkpoint: Path,
    *,
    data_dir: Path = Path("data/mnist"),
    repository: Path = Path("repository"),
    name: str = "",
) -> None:
    """Publish the network of a checkpoint.

    Args:
        checkpoint: The file that `train` wrote.
        data_dir: Where MNIST's four files are, for the population statistics.
        repository: The folder to publish into.
        name: The model's name in it; the network's when empty.
    """
    import torch

    from training import bundle, run
    from training.checkpoint import read
    from training.data.load import load
    from training.networks.build import build

    found = read(checkpoint)
    config = found.config
    name = name or config.model
    validate_model_name(name, "name")
    Repository(repository).validate_writable()
    torch.set_num_threads(config.threads)
    dataset = load(config.data, data_dir)
    rows = run.Rows.of(config, dataset)
    network = build(config, dataset)
    found.restore_network(network)
    bundle.test(network, dataset, rows, say=_say)
    _publish(repository, bundle.make(name, config, network, dataset, rows, say=_say))


@app.command(name="import")
def import_(
    file: Path,
    *,
    name: str,
    labels: str = "",
    held_out: Path | None = None,
    tolerance: float = 1e-5,
    max_batch_rows: Annotated[int | None, Parameter(validator=Number(gte=1, lte=1 << 16))] = None,
    batch_wait_ms: Annotated[float | None, Parameter(validator=Number(gte=0, lte=60_000))] = None,
    inline_ms: Annotated[float | None, Parameter(validator=Number(gte=0, lte=60_000))] = None,
    repository: Path = Path("repository"),
) -> None:
    """Publish an ONNX file that has BatchNormalization nodes.

    Args:
        file: The ONNX file.
        name: The model's name in the repository.
        labels: Names of the classes in the order of the first output, separated by commas.
        held_out: An .npy or .npz file of rows, at least 64, that the network did not learn from: they set the
            thresholds of drift alarms. Without, the model is watched, but "uncalibrated".
        tolerance: By how much the folded graph may differ from the file, relative to the largest output.
        max_batch_rows: Rows of requests that are joined into one run of it; the service's setting when absent.
        batch_wait_ms: How long a batch that is not full may wait for more; the service's setting when absent.
        inline_ms: Runs expected to be shorter are done at once, and not joined; the service's setting when absent.
        repository: The folder to publish into.
    """
    from models.assemble import ModelInfo
    from models.graph.load import serialize
    from models.importing import onnx
    from models.manifest import Batching
    from models.runtime.specs import specs
    from training import report, row_files

    validate_model_name(name, "name")
    Repository(repository).validate_writable()
    batching = Batching(max_batch_rows=max_batch_rows, batch_wait_ms=batch_wait_ms, inline_ms=inline_ms)
    info = ModelInfo(
        name,
        labels=labels.split(",") if labels else None,
        batching=batching if batching != Batching() else None,
    )
    source = onnx.read(file)
    rows = None if held_out is None else row_files.read(held_out, "held-out", specs(serialize(source))[0])
    bundle = onnx.import_graph(source, info, rows, tolerance)
    print(report.layers(bundle.manifest.norm_layers))
    print(report.parity(bundle.manifest.parity))
    print(report.thresholds(bundle.manifest.drift))
    _publish(repository, bundle)


@app.command
def recalibrate(
    bundle: Path,
    *,
    data: str,
    labels: Path | None = None,
    rows: int = 256,
    prior: float = 8.0,
    seed: int = 0,
    data_dir: Path = Path("data/mnist"),
    force: bool = False,
) -> None:
    """Estimate the normalisation statistics anew from unlabelled rows, and publish the result as the next version.

    The version that is the default remains so. A result that fails a gate is not published.

    Args:
        bundle: The folder of a version, or of a model in a repository, whose default version is taken then.
        data: An .npy or .npz file of rows for the model's inputs, or of the pixels of images; or "mnist" or "digits".
        labels: An .npy file with the class of each row, for the accuracy; those of "mnist" and "digits" are known.
        rows: How many to estimate from, chosen at random.
        prior: How many rows the present statistics count for.
        seed: Of the choice.
        data_dir: Where MNIST's four files are.
        force: Publish in spite of the gates; the manifest says so.
    """
    from training import recalibration, report

    parent = recalibration.Parent.at(bundle)
    parent.repository.validate_writable()
    given, known = recalibration.read(data, parent.bundle.manifest, data_dir, labels)
    candidate = recalibration.recalibrate(parent, given, known, count=rows, prior=prior, seed=seed)
    _say(report.gates(candidate.gates))
    _publish(parent.repository.root, candidate.publishable(force=force), candidate=True)


@app.command
def inspect(path: Path) -> None:
    """Show the normalisation layers of a bundle or an ONNX file, and where they go.

    Args:
        path: The folder of a bundle, or an ONNX file.
    """
    from training.inspection import describe

    print(describe(path))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    try:
        app(arguments, exit_on_error=False, print_error=False)
    except (CycloptsError, InvalidInput) as error:
        return _fail(error, 2)
    except (DengeError, OSError) as error:
        return _fail(error, 1)
    return 0


def _publish(repository: Path, bundle: Bundle, *, candidate: bool = False) -> None:
    version = Repository(repository).publish(bundle, candidate=candidate)
    print(f"published {bundle.manifest.model} version {version}: {repository / bundle.manifest.model / str(version)}")


def _fail(error: Exception, code: int) -> int:
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
