"""Corruptions that nothing was tuned on: the final figures of drift, re-calibration and accuracy are measured on them.

    corrupt(images, "shear", severity=2, seed=0)

They are of other kinds than those of `benchmarks.corruptions`, much as those of MNIST-C (Mu & Gilmer 2019) and
ImageNet-C (Hendrycks & Dietterich 2019). Images and seeds are as there; severities are 1, mild, and 2, strong.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy import ndimage

from benchmarks.corruptions import Corruption, Image, Images, damage

SEVERITIES = (1, 2)


def corrupt(images: Images, name: str, severity: int = 1, seed: int = 0) -> Images:
    """Damage every image.

    Args:
        images: as in `benchmarks.corruptions`.
        name: a key of `UNSEEN`.
        severity: 1 or 2.
        seed: of the random ones.
    """
    if severity not in SEVERITIES:
        raise ValueError(f"severity must be one of {SEVERITIES}, got {severity}")
    return damage(images, UNSEEN[name], severity, seed)


def conditions(images: Images) -> dict[str, Callable[[], Images]]:
    """All of them on these images, each when it is called, by kind and severity."""
    return {
        f"{kind} {severity}": partial(corrupt, images, kind, severity, 1) for kind in UNSEEN for severity in SEVERITIES
    }


def _shear(image: Image, amount: float, generator: np.random.Generator) -> Image:
    return _about_centre(image, np.array([[1.0, 0.0], [amount * generator.choice((-1, 1)), 1.0]]))


def _scale(image: Image, amount: float, _: np.random.Generator) -> Image:
    return _about_centre(image, np.eye(2) / amount)


def _translate(image: Image, amount: float, generator: np.random.Generator) -> Image:
    return ndimage.shift(image, generator.choice((-1, 1), 2) * amount, order=1)


def _about_centre(image: Image, matrix: np.ndarray) -> Image:
    centre = (np.array(image.shape) - 1) / 2
    return ndimage.affine_transform(image, matrix, offset=centre - matrix @ centre, order=1)


def _stripe(image: Image, amount: float, generator: np.random.Generator) -> Image:
    """A negative band across the image."""
    width = round(amount * image.shape[0])
    top = generator.integers(0, image.shape[0] - width + 1)
    striped = image.copy()
    striped[top : top + width] = 1 - striped[top : top + width]
    return striped


def _dotted_line(image: Image, amount: float, generator: np.random.Generator) -> Image:
    """White dots on straight lines through the image."""
    dotted = image.copy()
    for _ in range(round(amount)):
        ends = generator.uniform(0, np.array(image.shape) - 1, (2, 2))
        for share in np.linspace(0, 1, 12):
            row, column = np.rint(ends[0] + share * (ends[1] - ends[0])).astype(int)
            dotted[row, column] = 1
    return dotted


def _motion_blur(image: Image, amount: float, generator: np.random.Generator) -> Image:
    kernel = np.ones(round(amount)) / round(amount)
    return ndimage.convolve1d(image, kernel, axis=int(generator.integers(2)), mode="constant")


def _glass_blur(image: Image, amount: float, generator: np.random.Generator) -> Image:
    """Every pixel changes places with one nearby."""
    reach = round(amount)
    rows, columns = (at + generator.integers(-reach, reach + 1, image.shape) for at in np.indices(image.shape))
    return ndimage.gaussian_filter(image[rows.clip(0, image.shape[0] - 1), columns.clip(0, image.shape[1] - 1)], 0.4)


def _speckle(image: Image, amount: float, generator: np.random.Generator) -> Image:
    return image * (1 + amount * generator.standard_normal(image.shape))


def _shot_noise(image: Image, amount: float, generator: np.random.Generator) -> Image:
    """Photons of a dark scene: so many for a white pixel, over a dim background."""
    return generator.poisson((0.9 * image + 0.1) * amount) / amount


def _gamma(image: Image, amount: float, _: np.random.Generator) -> Image:
    return (0.05 + 0.95 * image) ** amount


def _pixelate(image: Image, amount: float, _: np.random.Generator) -> Image:
    side = round(amount)
    means = ndimage.uniform_filter(image, side)[side // 2 :: side, side // 2 :: side]
    return np.asarray(np.kron(means, np.ones((side, side)))[: image.shape[0], : image.shape[1]], np.float64)


def _quantize(image: Image, amount: float, generator: np.random.Generator) -> Image:
    """A few shades of grey, after a dither."""
    levels = amount - 1
    return np.asarray(np.rint(image * levels + generator.uniform(-0.5, 0.5, image.shape)) / levels)


def _vignette(image: Image, amount: float, _: np.random.Generator) -> Image:
    """A light from one side: brighter on the left, darker on the right."""
    return image + amount * np.linspace(1, -0.3, image.shape[1])


def _spatter(image: Image, amount: float, generator: np.random.Generator) -> Image:
    """Grey drops on the lens."""
    drops = ndimage.gaussian_filter(generator.standard_normal(image.shape), 1.2)
    return np.where(drops > np.quantile(drops, 1 - amount), 0.6, image)


def _thicken(image: Image, amount: float, _: np.random.Generator) -> Image:
    return np.asarray(ndimage.grey_dilation(image, (round(amount), round(amount))))


def _thin(image: Image, amount: float, _: np.random.Generator) -> Image:
    return np.asarray((1 - amount) * image + amount * ndimage.grey_erosion(image, (3, 3)))


def _of(
    apply: Callable[[Image, float, np.random.Generator], Image], mild: float, strong: float, unit: str
) -> Corruption:
    return Corruption(apply, (mild, strong), unit)


UNSEEN = {
    "shear": _of(_shear, 0.3, 0.6, "tangent"),
    "scale": _of(_scale, 0.8, 0.6, "size"),
    "translate": _of(_translate, 2.0, 4.0, "pixels in each direction"),
    "stripe": _of(_stripe, 0.12, 0.3, "share of the height"),
    "dotted line": _of(_dotted_line, 1, 4, "lines"),
    "motion blur": _of(_motion_blur, 5, 9, "pixels"),
    "glass blur": _of(_glass_blur, 1, 2, "pixels"),
    "speckle": _of(_speckle, 0.5, 1.5, "standard deviation, of the pixel"),
    "shot noise": _of(_shot_noise, 8, 2, "photons of a white pixel"),
    "gamma": _of(_gamma, 0.6, 0.3, "exponent"),
    "pixelate": _of(_pixelate, 2, 4, "pixels"),
    "quantize": _of(_quantize, 4, 2, "shades"),
    "vignette": _of(_vignette, 0.2, 0.5, "added on the left"),
    "spatter": _of(_spatter, 0.1, 0.3, "share of the image"),
    "thicken": _of(_thicken, 2, 4, "pixels"),
    "thin": _of(_thin, 0.5, 0.9, "share of the erosion"),
}
"""By name."""
