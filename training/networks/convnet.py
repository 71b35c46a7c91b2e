"""A small convolutional network: 29 thousand parameters for images of 28 x 28."""

from torch import Tensor, nn


class ConvNet(nn.Module):
    """Blocks of convolution -> BatchNorm2d -> ReLU -> 2 x 2 maximum, then a linear layer to the classes.

    Args:
        image_shape: channels, height, width.
        num_classes: outputs.
        depth: number of blocks; each halves height and width, rounding down.
        width: channels of the first block; each further one has twice as many.
    """

    def __init__(self, image_shape: tuple[int, int, int], num_classes: int, depth: int = 3, width: int = 16) -> None:
        super().__init__()
        channels, height, columns = image_shape
        widths = [width << i for i in range(depth)]
        inputs = [channels, *widths[:-1]]
        self.blocks = nn.Sequential(*(_Block(*pair) for pair in zip(inputs, widths, strict=True)))
        self.output = nn.Linear(widths[-1] * (height >> depth) * (columns >> depth), num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, height, width) -> (N, num_classes), logits."""
        x = self.blocks(x)  # (N, widths[-1], height / 2^depth, width / 2^depth)
        return self.output(x.reshape(-1, self.output.in_features))  # type: ignore[no-any-return]


class _Block(nn.Module):
    def __init__(self, num_inputs: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(num_inputs, width, kernel_size=3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.norm(self.conv(x)).relu())  # type: ignore[no-any-return]
