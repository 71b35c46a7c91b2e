"""The generative adversarial network of Radford, Metz & Chintala (2016, "... Deep Convolutional Generative ...").

Conditional: the generator is given the class (Mirza & Osindero 2014), and the discriminator has a logit for each. As in
the paper (section 3), strides take the place of pooling, and every layer is normalised except the generator's last and
the discriminator's first. The generator's normalisation layers directly follow transposed convolutions, so every one
can be folded. Weights start as torch draws them: the standard deviation of 0.02 in the
paper is for networks of many times as many channels.
"""

from itertools import pairwise

from torch import Tensor, nn

NOISE = 64
"""Numbers of noise in a row of the generator's input."""

_SLOPE = 0.2


class DCGAN(nn.Module):
    """A generator and the discriminator that it is trained against.

    Args:
        image_shape: channels, height, width. Height and width are multiples of 2 ** depth.
        num_classes: of the images.
        depth: number of times that the generator doubles height and width, and the discriminator halves them.
        width: channels at half the height and width; twice as many at a quarter, and so on.
    """

    def __init__(self, image_shape: tuple[int, int, int], num_classes: int, depth: int = 2, width: int = 32) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.generator = Generator(image_shape, num_classes, depth, width)
        self.discriminator = Discriminator(image_shape, num_classes, depth, width)

    def forward(self, latents: Tensor) -> Tensor:
        """What the generator makes of its input."""
        return self.generator(latents)  # type: ignore[no-any-return]


class Generator(nn.Module):
    """Transposed convolutions -> BatchNorm2d -> ReLU, and a last one -> tanh."""

    def __init__(self, image_shape: tuple[int, int, int], num_classes: int, depth: int, width: int) -> None:
        super().__init__()
        channels, height, columns = image_shape
        widths = [width << i for i in reversed(range(depth))]
        smallest = (height >> depth, columns >> depth)
        project = nn.ConvTranspose2d(NOISE + num_classes, widths[0], smallest, bias=False)
        doubled = (_doubling(a, b) for a, b in pairwise(widths))
        blocks = (_Block(conv, conv.out_channels) for conv in (project, *doubled))
        self.blocks = nn.Sequential(*blocks)
        self.output = _doubling(widths[-1], channels, bias=True)

    def forward(self, latents: Tensor) -> Tensor:
        """(N, NOISE + num_classes): noise, and 1 at the class -> (N, channels, height, width), from -1 to 1."""
        x = self.blocks(latents[:, :, None, None])  # (N, width, height / 2, width / 2)
        return self.output(x).tanh()  # type: ignore[no-any-return]


class Discriminator(nn.Module):
    """Strided convolutions -> BatchNorm2d, after the first -> leaky ReLU; then a linear layer."""

    def __init__(self, image_shape: tuple[int, int, int], num_classes: int, depth: int, width: int) -> None:
        super().__init__()
        channels, height, columns = image_shape
        widths = [width << i for i in range(depth)]
        inputs = [channels, *widths[:-1]]
        layers: list[nn.Module] = []
        for number, (before, after) in enumerate(zip(inputs, widths, strict=True)):
            layers.append(nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1, bias=number == 0))
            layers += [nn.BatchNorm2d(after)] * (number > 0) + [nn.LeakyReLU(_SLOPE)]
        self.layers = nn.Sequential(*layers)
        self.output = nn.Linear(widths[-1] * (height >> depth) * (columns >> depth), num_classes)

    def forward(self, images: Tensor, classes: Tensor) -> Tensor:
        """(N, channels, height, width) from -1 to 1, (N, num_classes) one-hot -> (N,), logits.

        They are of being a real image of the class.
        """
        logits = self.output(self.layers(images).flatten(1))  # (N, num_classes)
        return (logits * classes).sum(dim=1)  # type: ignore[no-any-return]


class _Block(nn.Module):
    def __init__(self, conv: nn.ConvTranspose2d, width: int) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)).relu()  # type: ignore[no-any-return]


def _doubling(num_inputs: int, width: int, *, bias: bool = False) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(num_inputs, width, kernel_size=4, stride=2, padding=1, bias=bias)
