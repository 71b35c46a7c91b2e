"""Small networks in the shapes of timm's: parts of which each has four channels before it."""

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, hardsigmoid, hardswish, relu


class Reparameterised(nn.Module):
    """RepVGG: a convolution of 3 x 3, one of 1 x 1 and the input itself, each normalised, are added."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.wide_norm = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.narrow, self.narrow_norm = nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4)
        self.itself = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.wide_norm(self.wide(x)) + self.narrow_norm(self.narrow(x)) + self.itself(x))


class Dense(nn.Module):
    """DenseNet: what a layer normalises is also read by the layers after it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.BatchNorm2d(4), nn.BatchNorm2d(6)
        self.conv, self.last = nn.Conv2d(4, 2, 3, padding=1), nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        grown = torch.cat([x, self.conv(relu(self.first(x)))], dim=1)
        return self.last(relu(self.second(grown)))


class Mixer(nn.Module):
    """ConvMixer: a layer between an activation and a padded convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.norm(gelu(self.conv(x))))


class Chunks(nn.Module):
    """Res2Net and dual paths: parts of the channels are normalised, each by its own layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 6, 3)
        self.norms = nn.ModuleList(nn.BatchNorm2d(size) for size in (2, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        first, second, third = torch.chunk(self.conv(x), 3, dim=1)
        return relu(self.norms[0](first)) + relu(self.norms[1](second)) * self.norms[2](third)


class Tokens(nn.Module):
    """LeViT: queries and keys are normalised as features of a linear layer over tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(4, 8, bias=False), nn.BatchNorm1d(8)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.linear(x.flatten(2).transpose(1, 2))
        queries, keys = self.norm(tokens.flatten(0, 1)).reshape_as(tokens).chunk(2, dim=-1)
        return (queries @ keys.transpose(1, 2)).softmax(dim=-1)


class DualPath(nn.Module):
    """DPN: some channels are added to the input, the others are put beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.BatchNorm2d(4), nn.BatchNorm2d(6)
        self.conv, self.out = nn.Conv2d(4, 4, 1), nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv(relu(self.first(x)))
        joined = torch.cat([x[:, :2] + inner[:, :2], x[:, 2:], inner[:, 2:]], dim=1)
        return self.out(relu(self.last(joined)))


class PreActivation(nn.Module):
    """ResNet v2: every layer is before an activation, and a stream goes past both of them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = (nn.BatchNorm2d(4) for _ in range(3))
        self.inner, self.outer, self.out = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.outer(relu(self.second(self.inner(relu(self.first(x))))))
        return self.out(relu(self.last(x)))


class InvertedResidual(nn.Module):
    """MobileNet v3: depthwise convolutions, and channels that are weighted by what they average to."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.depthwise = nn.Conv2d(4, 8, 1, bias=False), nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.narrow, self.weigh = nn.Conv2d(8, 4, 1, bias=False), nn.Conv2d(8, 8, 1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(size) for size in (8, 8, 4))

    def forward(self, x: Tensor) -> Tensor:
        inner = hardswish(self.norms[1](self.depthwise(hardswish(self.norms[0](self.wide(x))))))
        inner = inner * hardsigmoid(self.weigh(inner.mean((2, 3), keepdim=True)))
        return x + self.norms[2](self.narrow(inner))


class Causal(nn.Module):
    """WaveNet: gates, and the end of a stream is added to what comes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.value, self.gate = (nn.Conv2d(4, 4, (1, 2), padding=(0, 1)) for _ in range(2))
        self.back, self.norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        inner = (torch.tanh(self.value(x)) * torch.sigmoid(self.gate(x)))[..., : x.shape[-1]]
        return relu(self.norm(x[..., -inner.shape[-1] :] + self.back(inner)))


FOLDED, KEPT = "folded_back", "kept"

NETWORKS: dict[type[nn.Module], tuple[tuple[str, ...], bool]] = {
    Reparameterised: ((FOLDED, FOLDED, KEPT), False),
    Dense: ((KEPT, FOLDED), True),
    Mixer: ((KEPT,), True),
    Chunks: ((FOLDED, FOLDED, FOLDED), False),
    Tokens: ((FOLDED,), False),
    DualPath: ((KEPT, FOLDED), True),
    PreActivation: ((FOLDED, FOLDED, FOLDED), False),
    InvertedResidual: ((FOLDED, FOLDED, FOLDED), False),
    Causal: ((FOLDED,), False),
}
"""What becomes of the layers, in the order of the graph; and whether one that is kept has a proof."""
