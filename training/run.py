"""A training run, from the first weights, or from a checkpoint, to the last epoch."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Adam
from tqdm import tqdm

from models.errors import InvalidInput
from training import checkpoint, loop
from training.config import Config
from training.data.dataset import Dataset
from training.networks import build


@dataclass(frozen=True)
class Rows:
    """A data set as the network takes it.

    Attributes:
        train, test: shape (N, *row shape), float32.
        train_labels, test_labels: shape (N,), int64.
    """

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor

    @classmethod
    def of(cls, config: Config, data: Dataset) -> "Rows":
        """Every image prepared and in the shape that this network takes."""
        shape = build.row_shape(config, data)
        train, test = (
            torch.from_numpy(data.prepare(images)).reshape(-1, *shape)
            for images in (data.train_images, data.test_images)
        )
        return cls(train, torch.from_numpy(data.train_labels), test, torch.from_numpy(data.test_labels))


def train(
    config: Config, data: Dataset, rows: Rows, folder: Path, *, resume: bool, say: Callable[[str], None]
) -> nn.Module:
    """Train, with a checkpoint in `folder` after every epoch.

    Args:
        config: the settings.
        data: sizes the network.
        rows: what it learns from.
        folder: of the run; an earlier run's checkpoint there is replaced unless it is resumed.
        resume: go on from the checkpoint: to the same weights, bit by bit, as a run that was never interrupted.
        say: is told how each epoch went.

    Raises:
        InvalidInput: there is nothing to resume, or it was a run with other settings.
        Diverged: the loss became infinite or not a number.
    """
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    network = build.build(config, data)
    optimizer = Adam(network.parameters(), lr=config.learning_rate)
    path = folder / checkpoint.FILE
    done = _resume(path, config, network, optimizer) if resume else 0

    epoch_steps = loop.steps(len(rows.train), config.batch_size)
    for epoch in range(done, config.epochs):

        def learning_rate(step: int, before: int = epoch * epoch_steps) -> float:
            return config.learning_rate * loop.cosine(before + step, config.epochs * epoch_steps)

        title = f"epoch {epoch + 1}/{config.epochs}"
        with tqdm(total=epoch_steps, desc=title, unit="step", disable=None, leave=False) as bar:
            loss = loop.train_epoch(
                network,
                optimizer,
                rows.train,
                rows.train_labels,
                batch_size=config.batch_size,
                learning_rate=learning_rate,
                on_step=bar.update,
            )
        checkpoint.write(path, config, epoch + 1, network, optimizer)
        correct = loop.accuracy(loop.evaluate(network, rows.test, rows.test_labels))
        say(f"{title}: loss {loss:.4f}, test accuracy {correct:.2%}")
    return network


def _resume(path: Path, config: Config, network: nn.Module, optimizer: Adam) -> int:
    found = checkpoint.read(path)
    if found.config != config:
        raise InvalidInput(f"{path} is of a run with other settings: {found.config.difference(config)}", "resume")
    found.restore_run(network, optimizer)
    return found.epoch
