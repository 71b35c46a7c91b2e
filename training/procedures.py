"""How networks are trained: one procedure for each kind of network."""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from models.errors import InvalidInput
from training import adversarial, loop
from training.config import Config
from training.networks.dcgan import DCGAN
from training.processes import Processes

_ADVERSARIAL_BETAS = (0.5, 0.999)
"""Of Adam, for a generator and its discriminator (Radford et al. 2016, section 4)."""


class Procedure(Protocol):
    """Trains the networks of one kind.

    Attributes:
        optimizer: of all parameters of the network.
        served: the part of the network that is published.
    """

    optimizer: Optimizer
    served: nn.Module

    def train_epoch(
        self, rows: Tensor, labels: Tensor, *, learning_rate: Callable[[int], float], on_step: Callable[[], object]
    ) -> str:
        """Train the network on every row once, and return the mean losses as text.

        Args:
            rows: shape (N, ...), float32 or int64.
            labels: shape (N,), int64.
            learning_rate: the rate of a step, by its number within this epoch.
            on_step: called after each step.

        Raises:
            Diverged: a loss became infinite or NaN.
        """

    def test(self, rows: Tensor, labels: Tensor) -> str:
        """The accuracy on these rows as text; empty for a network that does not classify."""


class Classification:
    """Trains a classifier by the cross entropy of its predictions.

    Args:
        network: gives logits of shape (N, K).
        config: the settings.
        processes: train the network together.
    """

    def __init__(self, network: nn.Module, config: Config, processes: Processes) -> None:
        self.optimizer: Optimizer = Adam(network.parameters(), lr=config.learning_rate)
        self.served = network
        self._parallel = processes.parallel(network)
        self._batch_size = config.batch_size
        self._processes = processes

    def train_epoch(
        self, rows: Tensor, labels: Tensor, *, learning_rate: Callable[[int], float], on_step: Callable[[], object]
    ) -> str:
        """Train the network on every row once, and return the mean loss as text."""
        loss = loop.train_epoch(
            self._parallel,
            self.optimizer,
            rows,
            labels,
            batch_size=self._batch_size,
            learning_rate=learning_rate,
            on_step=on_step,
            processes=self._processes,
        )
        return f"loss {loss:.4f}"

    def test(self, rows: Tensor, labels: Tensor) -> str:
        """The accuracy on these rows as text."""
        return f"test accuracy {loop.accuracy(loop.evaluate(self.served, rows, labels)):.2%}"


class AdversarialTraining:
    """Trains a generator and its discriminator in turn.

    Args:
        network: both.
        config: the settings.
        processes: must be one.

    Raises:
        InvalidInput: there are several processes.
    """

    def __init__(self, network: DCGAN, config: Config, processes: Processes) -> None:
        if processes.count > 1:
            raise InvalidInput(f"{config.model} is trained by one process", "model")
        self.optimizer: Optimizer = Adam(network.parameters(), lr=config.learning_rate, betas=_ADVERSARIAL_BETAS)
        self.served: nn.Module = network.generator
        self._network = network
        self._batch_size = config.batch_size

    def train_epoch(
        self, rows: Tensor, labels: Tensor, *, learning_rate: Callable[[int], float], on_step: Callable[[], object]
    ) -> str:
        """Train both networks on every image once, and return the mean losses as text."""
        losses = adversarial.train_epoch(
            self._network,
            self.optimizer,
            rows,
            labels,
            batch_size=self._batch_size,
            learning_rate=learning_rate,
            on_step=on_step,
        )
        return f"loss of the discriminator {losses.discriminator:.4f}, of the generator {losses.generator:.4f}"

    def test(self, rows: Tensor, labels: Tensor) -> str:  # noqa: ARG002 - as every procedure
        """Nothing: images that are generated have no true class."""
        return ""


def choose(network: nn.Module, config: Config, processes: Processes) -> Procedure:
    """The procedure for a network.

    Raises:
        InvalidInput: several processes are to train a network that one process trains.
    """
    if isinstance(network, DCGAN):
        return AdversarialTraining(network, config, processes)
    return Classification(network, config, processes)
