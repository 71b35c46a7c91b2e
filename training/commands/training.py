"""The commands `train` and `export`: networks of Denge's own."""

# ruff: noqa: PLC0415

from pathlib import Path

from models.repository.repository import Repository, validate_model_name
from training.commands.parameters import HalfWeights, NameOfNetwork, PublishedJson, Target, WatchImage, WatchMargin
from training.config import Config, DataKind, ModelKind
from training.output import Output


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
    repository: Target = "repository",
    name: NameOfNetwork = "",
    run_dir: Path | None = None,
    resume: bool = False,
    watch_layers: bool = False,
    half_weights: HalfWeights = False,
    watch_image: WatchImage = False,
    watch_margin: WatchMargin = False,
    publish: bool = True,
    json: PublishedJson = False,
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
        run_dir: Folder for the checkpoint. runs/<name> by default.
        resume: Continue from the checkpoint in --run-dir.
        watch_layers: Write statistics of the normalisation layers at every step to <run-dir>/tensorboard, a folder for
            TensorBoard, which must be installed (the extra "tensorboard"), and some of them into the bundle.
        publish: Make a bundle of the trained network and publish it.
    """
    output = Output(as_json=json)
    config = Config(model, data, epochs, batch_size, learning_rate, seed, depth, width, threads)
    name = name or model
    from training import bundle, checkpoint, processes, published_part, report, run
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
        made = bundle.make(
            name,
            config,
            part,
            metrics,
            history,
            half_weights=half_weights,
            watch_image=watch_image,
            watch_margin=watch_margin,
        )
        output.say(report.bundle(made.manifest))
        output.publish(target, made)


def export(
    checkpoint: Path,
    *,
    data_dir: Path | None = None,
    half_weights: HalfWeights = False,
    watch_image: WatchImage = False,
    watch_margin: WatchMargin = False,
    repository: Target = "repository",
    name: NameOfNetwork = "",
    json: PublishedJson = False,
) -> None:
    """Publish the network of a checkpoint.

    Args:
        checkpoint: File that `train` wrote.
        data_dir: As for `train`, to estimate population statistics from.
    """
    import torch

    from training import bundle, published_part, report, run
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
    made = bundle.make(
        name,
        config,
        part,
        metrics,
        found.history,
        half_weights=half_weights,
        watch_image=watch_image,
        watch_margin=watch_margin,
    )
    output.say(report.bundle(made.manifest))
    output.publish(target, made)
