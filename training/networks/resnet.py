"""The residual networks of He, Zhang, Ren & Sun (2016, "Deep Residual Learning"), with a first layer for small images.

Every normalisation layer directly follows a convolution, so every one can be folded; the layers of the later
"pre-activation" variant, which follow an addition, could not.
"""

from torch import Tensor, nn

_FOUR_STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
"""Blocks of each stage, by depth: those of table 1 with blocks of two layers. Other depths have three (section 4.2)."""


class ResNet(nn.Module):
    """A convolution, stages of blocks, the mean over positions, a linear layer.

    Args:
        num_channels: of the image.
        num_classes: outputs.
        depth: weighted layers: 6n + 2, e.g. 8, 20, 56, for three stages of n blocks; 18 or 34 for four stages.
        width: channels of the first stage; each other one has twice as many as the one before, at half the resolution.
    """

    def __init__(self, num_channels: int, num_classes: int, depth: int = 8, width: int = 16) -> None:
        super().__init__()
        blocks = _FOUR_STAGES.get(depth, 3 * ((depth - 2) // 6,))
        widths = [width << stage for stage in range(len(blocks))]
        self.conv = nn.Conv2d(num_channels, width, kernel_size=3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.stages = nn.Sequential(
            _stage(width, width, blocks[0], stride=1),
            *(_stage(*of, stride=2) for of in zip(widths, widths[1:], blocks[1:], strict=False)),
        )
        self.output = nn.Linear(widths[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, num_channels, H, W) -> (N, num_classes), logits."""
        x = self.norm(self.conv(x)).relu()  # (N, width, H, W)
        x = self.stages(x)  # (N, widths[-1], H / 4, W / 4), or H / 8, W / 8 after four stages
        return self.output(x.mean(dim=(2, 3)))  # type: ignore[no-any-return]


def _stage(num_inputs: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    first = _Block(num_inputs, width, stride)
    return nn.Sequential(first, *(_Block(width, width, stride=1) for _ in range(blocks - 1)))


class _Block(nn.Module):
    """Two convolutions beside a shortcut: the identity, or a 1 x 1 projection where the shape changes (option B)."""

    def __init__(self, num_inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_inputs, width, kernel_size=3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or num_inputs != width:
            projection = nn.Conv2d(num_inputs, width, kernel_size=1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y))
        return (y + self.shortcut(x)).relu()  # type: ignore[no-any-return]
