"""A multi-layer perceptron.

With ``depth=3, width=100`` it is the network of figure 1 of Ioffe & Szegedy (2015), but for ReLU instead of sigmoid.
"""

from torch import Tensor, nn


class MLP(nn.Module):
    """Linear -> BatchNorm1d -> ReLU, `depth` times, then a linear layer to the classes.

    Args:
        num_features: values of one row.
        num_classes: outputs.
        depth: number of hidden layers.
        width: units of each.
    """

    def __init__(self, num_features: int, num_classes: int, depth: int = 1, width: int = 64) -> None:
        super().__init__()
        self.hidden = nn.Sequential(*(_Hidden(num_features if i == 0 else width, width) for i in range(depth)))
        self.output = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, num_features) -> (N, num_classes), logits."""
        x = self.hidden(x)  # (N, width)
        return self.output(x)  # type: ignore[no-any-return]


class _Hidden(nn.Module):
    def __init__(self, num_inputs: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(num_inputs, width, bias=False)  # the normalisation would subtract a bias again
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.linear(x)).relu()  # type: ignore[no-any-return]
