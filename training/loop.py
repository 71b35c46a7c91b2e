"""One epoch of training, and the evaluation of a network."""

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from models.errors import DengeError
from training.processes import ALONE, Processes

_EVALUATION_ROWS = 500


class Diverged(DengeError):
    """The loss is not a finite number any more."""


def cosine(step: int, steps: int) -> float:
    """Factor on the learning rate: from 1 to 0 along a half cosine (Loshchilov & Hutter 2017, eq. 5, no restarts)."""
    return 0.5 * (1 + math.cos(math.pi * step / steps))


def train_epoch(
    network: nn.Module,
    optimizer: Optimizer,
    rows: Tensor,
    labels: Tensor,
    *,
    batch_size: int,
    learning_rate: Callable[[int], float],
    on_step: Callable[[], object] = lambda: None,
    processes: Processes = ALONE,
) -> float:
    """Train the network on every row once, in an order drawn from torch's global generator.

    Args:
        network: left in training mode.
        optimizer: of the network's parameters.
        rows: shape (N, ...), float32 or int64.
        labels: shape (N,), int64.
        batch_size: rows of a step, at least 2. A last batch of one row is skipped: it has no variance.
        learning_rate: the rate of a step, by its number within this epoch.
        on_step: called after each step.
        processes: each takes its share of every batch, drawn in the same order.

    Returns:
        The mean loss (cross entropy, in nats) over the rows of all steps.

    Raises:
        Diverged: the loss became infinite or NaN.
    """
    network.train()
    total, seen = 0.0, 0
    for step, batch in enumerate(torch.split(torch.randperm(len(rows)), batch_size)):
        if len(batch) == 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        optimizer.zero_grad()
        mine = processes.share(batch)
        loss = functional.cross_entropy(network(rows[mine]), labels[mine], reduction="sum") / len(batch)
        value = loss.item()
        if not math.isfinite(value):
            raise Diverged(f"the loss became {value} at step {step} of the epoch: try a smaller learning rate")
        (loss * processes.count).backward()  # type: ignore[no-untyped-call] # gradients of processes are averaged
        optimizer.step()
        total += value * len(batch)
        seen += len(batch)
        on_step()
    return processes.total(total) / seen


def count_steps(num_rows: int, batch_size: int) -> int:
    """Number of steps that `train_epoch` takes."""
    return num_rows // batch_size + (num_rows % batch_size > 1)


@torch.no_grad()
def evaluate(network: nn.Module, rows: Tensor, labels: Tensor) -> NDArray[np.int64]:
    """Count rows by true and predicted class, in evaluation mode. The network's mode is restored afterwards.

    Args:
        network: gives logits of shape (N, K).
        rows: shape (N, ...), float32 or int64.
        labels: shape (N,), int64.

    Returns:
        Shape (K, K), int64: true class by predicted class.
    """
    was_training = network.training
    network.eval()
    logits = torch.cat([network(batch) for batch in torch.split(rows, _EVALUATION_ROWS)])
    network.train(was_training)
    classes = logits.shape[1]
    pairs = labels * classes + logits.argmax(dim=1)
    return pairs.bincount(minlength=classes**2).reshape(classes, classes).numpy()


def accuracy(confusion: NDArray[np.int64]) -> float:
    """Fraction of rows on the diagonal of what `evaluate` returns."""
    return float(confusion.trace() / confusion.sum())
