"""Batch normalisation as other libraries write it."""

import torch
from torch import Tensor, nn


class Frozen(nn.Module):
    """A layer as torchvision's FrozenBatchNorm2d and timm's FrozenBatchNormAct2d write it: buffers, and arithmetic."""

    def __init__(self, channels: int, eps: float = 1e-5, *, act: bool = False) -> None:
        super().__init__()
        self.eps = eps
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, torch.rand(channels) + 0.5)
        self.act = nn.SiLU(inplace=True) if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        scale = (self.weight * (self.running_var + self.eps).rsqrt()).reshape(1, -1, 1, 1)
        return self.act(x * scale + self.bias.reshape(1, -1, 1, 1) - self.running_mean.reshape(1, -1, 1, 1) * scale)


class WithReLU(nn.BatchNorm2d):
    """A layer with its activation inside, as timm's BatchNormAct2d."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-3)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.1, self.eps
        )
        return self.act(y)  # type: ignore[no-any-return]
