"""A training run, from initial weights or a checkpoint to the last epoch."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm import tqdm

from models.errors import InvalidInput
from training import checkpoint, loop, procedures
from training.config import Config
from training.data.dataset import Dataset
from training.layer_watch import LayerWatch, Unwatched
from training.networks import build
from training.processes import ALONE, Processes


@dataclass(frozen=True)
class Rows:
    """A data set as rows of a network's input.

    Attributes:
        train, test: shape (N, *row shape), float32 for images, int64 for texts.
        train_labels, test_labels: shape (N,), int64.
    """

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor

    @classmethod
    def of(cls, config: Config, data: Dataset) -> "Rows":
        """All images or texts, prepared and in the shape of the network's input."""
        shape = build.row_shape(config, data)
        train, test = (torch.from_numpy(found).reshape(-1, *shape) for found in (data.train_rows, data.test_rows))
        return cls(train, torch.from_numpy(data.train_labels), test, torch.from_numpy(data.test_labels))


def train(
    config: Config,
    data: Dataset,
    rows: Rows,
    folder: Path,
    *,
    resume: bool,
    log: Callable[[str], None],
    processes: Processes = ALONE,
    watch_layers: bool = False,
) -> nn.Module:
    """Train a network, and write a checkpoint to `folder` after every epoch.

    Args:
        config: the settings.
        data: gives the size of the inputs and the number of classes.
        rows: of this data.
        folder: of the run. An earlier run's checkpoint there is replaced unless it is resumed.
        resume: continue from the checkpoint. The weights are, bit for bit, those of an uninterrupted run.
        log: called with a line of text after each epoch.
        processes: train the network together. The first one writes the checkpoints, tests and logs.
        watch_layers: write the statistics of the published part's normalisation layers at every step for TensorBoard,
            and keep some in the checkpoint. The weights are the same, bit for bit.

    Raises:
        InvalidInput: there is no checkpoint to resume, or it is of a run with other settings; or several processes are
            to train a network that one process trains; or layers are to be watched, and TensorBoard is not installed.
        Diverged: the loss became infinite or NaN.
    """
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    network = build.build(config, data)
    procedure = procedures.choose(network, config, processes)
    path = folder / checkpoint.FILE
    done, history = _resume(path, config, network, procedure.optimizer) if resume else (0, {})

    epoch_steps = loop.count_steps(len(rows.train), config.batch_size)
    num_steps = config.epochs * epoch_steps
    watched = procedure.served if watch_layers and not processes.rank else None
    with _watch(watched, folder, num_steps, done * epoch_steps, history) as watch:
        for epoch in range(done, config.epochs):

            def learning_rate(step: int, before: int = epoch * epoch_steps) -> float:
                return config.learning_rate * loop.cosine(before + step, num_steps)

            title = f"epoch {epoch + 1}/{config.epochs}"
            hidden = True if processes.rank else None  # None: where the output is no terminal
            with tqdm(total=epoch_steps, desc=title, unit="step", disable=hidden, leave=False) as bar:
                losses = procedure.train_epoch(
                    rows.train,
                    rows.train_labels,
                    learning_rate=learning_rate,
                    on_step=_both(watch.record, bar.update),
                )
            if processes.rank:
                continue
            checkpoint.write(path, config, epoch + 1, network, procedure.optimizer, watch.tensors())
            parts = (losses, procedure.test(rows.test, rows.test_labels))
            log(f"{title}: {', '.join(filter(None, parts))}")
    return network


def _resume(path: Path, config: Config, network: nn.Module, optimizer: Optimizer) -> tuple[int, dict[str, Tensor]]:
    """The number of epochs that are complete, and the statistics of the layers in these."""
    found = checkpoint.read(path)
    if found.config != config:
        raise InvalidInput(f"{path} is of a run with other settings: {found.config.difference(config)}", "resume")
    found.restore_run(network, optimizer)
    return found.epoch, found.history


@contextmanager
def _watch(
    network: nn.Module | None, folder: Path, num_steps: int, done: int, history: Mapping[str, Tensor]
) -> Iterator[LayerWatch | Unwatched]:
    """Inside, the layers of a network are watched, if one is given; afterwards the file for TensorBoard is complete."""
    if network is None:
        yield Unwatched()
        return
    try:
        from training.event_file import EventFile  # noqa: PLC0415 - needs an extra
    except ModuleNotFoundError as error:
        raise InvalidInput("needs TensorBoard: pip install 'denge[tensorboard]'", "watch-layers") from error
    with EventFile(folder, done, LayerWatch.names) as events:
        watch = LayerWatch(network, num_steps, events.write)
        watch.resume(done, history)
        yield watch


def _both(first: Callable[[], object], second: Callable[[], object]) -> Callable[[], None]:
    def call() -> None:
        first()
        second()

    return call
