"""One epoch of training a generator against its discriminator (Goodfellow et al. 2014)."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from training.loop import Diverged
from training.networks.dcgan import DCGAN, NOISE


class Losses(NamedTuple):
    """Mean binary cross entropies of an epoch, in nats. A discriminator that only guesses has ln 2 = 0.69."""

    discriminator: float
    generator: float


def train_epoch(
    network: DCGAN,
    optimizer: Optimizer,
    images: Tensor,
    labels: Tensor,
    *,
    batch_size: int,
    learning_rate: Callable[[int], float],
    on_step: Callable[[], object] = lambda: None,
) -> Losses:
    """Train both networks on every image once, in an order drawn from torch's global generator.

    In each step the discriminator is trained first, on a batch of real and one of generated images, each normalised by
    its own statistics; then the generator, by the loss -log D(G(z)).

    Args:
        network: left in training mode.
        optimizer: of the parameters of both.
        images: shape (N, C, H, W), float32, from 0 to 1.
        labels: shape (N,), int64.
        batch_size: images of a step, at least 2. A last batch of one image is skipped.
        learning_rate: the rate of a step, by its number within this epoch.
        on_step: called after each step.

    Returns:
        The mean losses over the images of all steps.

    Raises:
        Diverged: a loss became infinite or NaN.
    """
    network.train()
    generator, discriminator = network.generator, network.discriminator
    totals = [0.0, 0.0]
    seen = 0
    for step, batch in enumerate(torch.split(torch.randperm(len(images)), batch_size)):
        if len(batch) == 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        classes = functional.one_hot(labels[batch], network.num_classes).float()
        latents = torch.cat([torch.randn(len(batch), NOISE), classes], dim=1)
        made = generator(latents)

        real = _loss(discriminator(images[batch] * 2 - 1, classes), is_real=True)
        against = (real + _loss(discriminator(made.detach(), classes), is_real=False)) / 2
        _descend(optimizer, against, discriminator)
        for_generator = _loss(discriminator(made, classes), is_real=True)
        _descend(optimizer, for_generator, generator)

        for which, loss in enumerate((against.item(), for_generator.item())):
            if not math.isfinite(loss):
                raise Diverged(f"a loss became {loss} at step {step} of the epoch: try a smaller learning rate")
            totals[which] += loss * len(batch)
        seen += len(batch)
        on_step()
    return Losses(*(total / seen for total in totals))


def _loss(logits: Tensor, *, is_real: bool) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(is_real)))


def _descend(optimizer: Optimizer, loss: Tensor, part: nn.Module) -> None:
    """One step of the parameters of one network: the optimizer leaves those alone that have no gradient."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward(inputs=list(part.parameters()))  # type: ignore[no-untyped-call]
    optimizer.step()
