"""A training run, from initial weights or a checkpoint to the last epoch."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Adam
from tqdm import tqdm

from models.errors import InvalidInput
from training import adversarial, checkpoint, loop
from training.config import Config
from training.data.dataset import Dataset
from training.networks import build
from training.networks.dcgan import DCGAN
from training.processes import ALONE, Processes

_ADVERSARIAL_BETA = 0.5
"""First beta of Adam for a generator and its discriminator (Radford et al. 2016, section 4)."""


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

    Raises:
        InvalidInput: there is no checkpoint to resume, or it is of a run with other settings; or several processes are
            to train a network that one process trains.
        Diverged: the loss became infinite or NaN.
    """
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    network = build.build(config, data)
    if isinstance(network, DCGAN) and processes.count > 1:
        raise InvalidInput("dcgan is trained by one process", "model")
    parallel = processes.parallel(network)
    betas = (_ADVERSARIAL_BETA, 0.999) if isinstance(network, DCGAN) else (0.9, 0.999)
    optimizer = Adam(network.parameters(), lr=config.learning_rate, betas=betas)
    path = folder / checkpoint.FILE
    done = _resume(path, config, network, optimizer) if resume else 0

    epoch_steps = loop.count_steps(len(rows.train), config.batch_size)
    for epoch in range(done, config.epochs):

        def learning_rate(step: int, before: int = epoch * epoch_steps) -> float:
            return config.learning_rate * loop.cosine(before + step, config.epochs * epoch_steps)

        title = f"epoch {epoch + 1}/{config.epochs}"
        with tqdm(
            total=epoch_steps, desc=title, unit="step", disable=True if processes.rank else None, leave=False
        ) as bar:
            if isinstance(network, DCGAN):
                losses = adversarial.train_epoch(
                    network,
                    optimizer,
                    rows.train,
                    rows.train_labels,
                    batch_size=config.batch_size,
                    learning_rate=learning_rate,
                    on_step=bar.update,
                )
                line = f"loss of the discriminator {losses.discriminator:.4f}, of the generator {losses.generator:.4f}"
            else:
                loss = loop.train_epoch(
                    parallel,
                    optimizer,
                    rows.train,
                    rows.train_labels,
                    batch_size=config.batch_size,
                    learning_rate=learning_rate,
                    on_step=bar.update,
                    processes=processes,
                )
                line = f"loss {loss:.4f}"
        if processes.rank:
            continue
        checkpoint.write(path, config, epoch + 1, network, optimizer)
        if not isinstance(network, DCGAN):
            line += f", test accuracy {loop.accuracy(loop.evaluate(network, rows.test, rows.test_labels)):.2%}"
        log(f"{title}: {line}")
    return network


def _resume(path: Path, config: Config, network: nn.Module, optimizer: Adam) -> int:
    found = checkpoint.read(path)
    if found.config != config:
        raise InvalidInput(f"{path} is of a run with other settings: {found.config.difference(config)}", "resume")
    found.restore_run(network, optimizer)
    return found.epoch
