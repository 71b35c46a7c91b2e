"""Images as they arrive after something went wrong: the shifts that the benchmarks measure drift and re-calibration on.

    corrupt(images, "blur", severity=3, seed=0)

Images are (N, H, W) or (N, C, H, W), float32, 0 (black) to 1 (white); so is the result. The same seed gives the same
images whatever the number of rows: row i is drawn from its own generator.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Images = NDArray[np.float32]
Image = NDArray[np.float64]
"""One channel, shape (H, W)."""

SEVERITIES = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Corruption:
    """One kind of damage.

    Attributes:
        apply: one channel of an image, how much, and the row's generator -> the damaged channel, clipped afterwards.
        amounts: how much, for each severity from 1.
        unit: what the amounts are.
    """

    apply: Callable[[Image, float, np.random.Generator], Image]
    amounts: tuple[float, ...]
    unit: str


def corrupt(images: Images, name: str, severity: int = 3, seed: int = 0) -> Images:
    """Damage every image.

    Args:
        images: as above.
        name: a key of `CORRUPTIONS`.
        severity: 1 to 5.
        seed: of the random ones.
    """
    if severity not in SEVERITIES:
        raise ValueError(f"severity must be one of {SEVERITIES}, got {severity}")
    return damage(images, CORRUPTIONS[name], severity, seed)


def damage(images: Images, corruption: Corruption, severity: int, seed: int) -> Images:
    """Damage every image, by the amount of this severity."""
    amount = corruption.amounts[severity - 1]
    damaged = np.empty(images.shape, np.float32)
    for row, image in enumerate(images):
        channels = image.reshape(-1, *image.shape[-2:]).astype(np.float64)
        for index, channel in enumerate(channels):
            generator = np.random.default_rng([seed, row])  # the same for each channel: colours stay together
            channels[index] = corruption.apply(channel, amount, generator)
        damaged[row] = channels.clip(0, 1).reshape(image.shape)
    return damaged


def _noise(image: Image, amount: float, generator: np.random.Generator) -> Image:
    return image + amount * generator.standard_normal(image.shape)


def _impulse(image: Image, amount: float, generator: np.random.Generator) -> Image:
    drawn = generator.random(image.shape)
    return np.where(drawn < amount / 2, 0.0, np.where(drawn < amount, 1.0, image))


def _blur(image: Image, amount: float, _: np.random.Generator) -> Image:
    return np.asarray(ndimage.gaussian_filter(image, amount))


def _contrast(image: Image, amount: float, _: np.random.Generator) -> Image:
    return np.asarray(image.mean() + amount * (image - image.mean()))


def _brightness(image: Image, amount: float, _: np.random.Generator) -> Image:
    return image + amount


def _inversion(image: Image, amount: float, _: np.random.Generator) -> Image:
    return (1 - amount) * image + amount * (1 - image)


def _rotation(image: Image, amount: float, generator: np.random.Generator) -> Image:
    return ndimage.rotate(image, amount * generator.choice((-1, 1)), reshape=False, order=1)


def _occlusion(image: Image, amount: float, generator: np.random.Generator) -> Image:
    """A black square at a random place."""
    side = round(amount * min(image.shape))
    top, left = (generator.integers(0, size - side + 1) for size in image.shape)
    covered = image.copy()
    covered[top : top + side, left : left + side] = 0
    return covered


def _fog(image: Image, amount: float, generator: np.random.Generator) -> Image:
    """Clouds of several sizes laid over the image, which darkens in return."""
    sizes = (16, 8, 4, 2)
    clouds = np.zeros(image.shape)
    for size in sizes:
        clouds += size * ndimage.gaussian_filter(generator.standard_normal(image.shape), size / 2)
    clouds = (clouds - clouds.min()) / np.ptp(clouds)
    return np.asarray((image + amount * clouds) / (1 + amount))


CORRUPTIONS = {
    "noise": Corruption(_noise, (0.1, 0.2, 0.3, 0.4, 0.5), "standard deviation"),
    "impulse": Corruption(_impulse, (0.05, 0.1, 0.17, 0.25, 0.35), "share of pixels turned black or white"),
    "blur": Corruption(_blur, (0.75, 1.0, 1.5, 2.0, 2.5), "standard deviation in pixels"),
    "contrast": Corruption(_contrast, (0.7, 0.5, 0.3, 0.2, 0.1), "share of the contrast left"),
    "brightness": Corruption(_brightness, (0.1, 0.2, 0.3, 0.4, 0.5), "added"),
    "inversion": Corruption(_inversion, (0.6, 0.7, 0.8, 0.9, 1.0), "share of the negative"),
    "rotation": Corruption(_rotation, (10.0, 20.0, 30.0, 40.0, 50.0), "degrees to either side"),
    "occlusion": Corruption(_occlusion, (0.2, 0.3, 0.4, 0.5, 0.6), "side of the black square, of the image's"),
    "fog": Corruption(_fog, (0.5, 1.0, 1.5, 2.0, 3.0), "strength of the clouds"),
}
"""By name."""
