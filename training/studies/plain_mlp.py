"""A multi-layer perceptron with or without batch normalisation: nothing else differs."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.run import Rows

Activation = Callable[[Tensor], Tensor]


class PlainMLP(nn.Module):
    """Linear, BatchNorm1d if it is `normalized`, activation, `depth` times, then a linear layer to 10 classes.

    Args:
        num_features: values of one row.
        depth, width: hidden layers, and units of each.
        normalized: whether there is a normalisation layer before each activation.
        activation: of each unit.
        initial_std: standard deviation of the initial weights, which are Gaussian; that of He et al. 2015 for each
            layer, the root of 2 / inputs, if it is None. Biases are zero.
    """

    def __init__(
        self,
        num_features: int,
        depth: int,
        width: int,
        *,
        normalized: bool,
        activation: Activation,
        initial_std: float | None = None,
    ) -> None:
        super().__init__()
        sizes = [num_features, *[width] * depth]
        self.linears = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) if normalized else nn.Identity() for _ in range(depth))
        self.output = nn.Linear(width, 10)
        self._activation = activation
        for linear in (*self.linears, self.output):
            nn.init.normal_(linear.weight, std=(2 / linear.in_features) ** 0.5 if initial_std is None else initial_std)
            nn.init.zeros_(linear.bias)

    def activation_inputs(self, x: Tensor) -> Tensor:
        """Inputs of the last hidden layer's activations, shape (N, width)."""
        *before, _ = zip(self.linears, self.norms, strict=True)
        for linear, norm in before:
            x = self._activation(norm(linear(x)))
        return self.norms[-1](self.linears[-1](x))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """(N, num_features) -> (N, 10), logits."""
        return self.output(self._activation(self.activation_inputs(x)))  # type: ignore[no-any-return]


def step(network: nn.Module, learning_rate: float, rows: Rows, batch_size: int) -> float:
    """One step of plain stochastic gradient descent on rows that are drawn at random, and the loss before it."""
    batch = torch.randint(len(rows.train), (batch_size,))
    loss = functional.cross_entropy(network(rows.train[batch]), rows.train_labels[batch])
    parameters = list(network.parameters())
    gradients = torch.autograd.grad(loss, parameters)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.sub_(gradient, alpha=learning_rate)
    return loss.item()


@torch.no_grad()
def accuracy(network: nn.Module, rows: Tensor, labels: Tensor) -> float:
    """Share of the rows that get their class in evaluation mode. The network is left in training mode."""
    network.eval()
    correct = int((network(rows).argmax(dim=1) == labels).sum())
    network.train()
    return correct / len(rows)
