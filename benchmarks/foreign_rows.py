"""Images of 28 x 28 that are no digits: rows of another task, which no re-calibration should be published from."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

Images = NDArray[np.float32]

SIZE = 28


def letters(count: int, seed: int) -> Images:
    """Capital letters in white on black, turned a little: shape (count, 1, 28, 28), 0 to 1."""
    return _letters(count, np.random.default_rng([seed, 5]), "A")


def small_letters(count: int, seed: int) -> Images:
    """The same with lower-case letters."""
    return _letters(count, np.random.default_rng([seed, 9]), "a")


def shapes(count: int, seed: int) -> Images:
    """Rectangles and ellipses in greys, turned a little: shape (count, 1, 28, 28), 0 to 1."""
    random = np.random.default_rng([seed, 11])

    def draw(canvas: ImageDraw.ImageDraw) -> None:
        left, top = random.uniform(2, 12, 2)
        right, bottom = random.uniform(16, 26, 2)
        outline = canvas.ellipse if random.random() < 0.5 else canvas.rectangle
        outline((left, top, right, bottom), fill=int(random.integers(80, 256)))

    return _images(count, random, draw)


def _letters(count: int, random: np.random.Generator, first: str) -> Images:
    font = ImageFont.load_default(size=22)

    def draw(canvas: ImageDraw.ImageDraw) -> None:
        letter = chr(ord(first) + int(random.integers(26)))
        left, top, right, bottom = canvas.textbbox((0, 0), letter, font=font)
        canvas.text(((SIZE - left - right) / 2, (SIZE - top - bottom) / 2), letter, fill=255, font=font)

    return _images(count, random, draw)


def clothes(count: int, seed: int) -> Images:
    """Silhouettes of shirts, trousers, shoes, bags and dresses in greys: shape (count, 1, 28, 28), 0 to 1."""
    random = np.random.default_rng([seed, 7])

    def draw(canvas: ImageDraw.ImageDraw) -> None:
        parts = _CLOTHES[int(random.integers(len(_CLOTHES)))]
        grey = int(random.integers(100, 256))
        for part in parts:
            canvas.polygon([tuple(np.array(point) + random.uniform(-1.5, 1.5, 2)) for point in part], fill=grey)
            grey = max(grey - int(random.integers(0, 60)), 40)

    return _images(count, random, draw)


_CLOTHES: tuple[tuple[tuple[tuple[float, float], ...], ...], ...] = (
    (((9, 4), (19, 4), (26, 10), (23, 14), (20, 11), (20, 25), (8, 25), (8, 11), (5, 14), (2, 10)),),
    (((8, 3), (20, 3), (21, 26), (16, 26), (14, 10), (12, 26), (7, 26)),),
    (((2, 20), (3, 12), (10, 13), (18, 17), (26, 19), (26, 22), (2, 23)), ((2, 22), (26, 22), (26, 24), (2, 24))),
    (
        ((4, 12), (24, 12), (25, 25), (3, 25)),
        ((10, 12), (10, 6), (18, 6), (18, 12), (16, 12), (16, 8), (12, 8), (12, 12)),
    ),
    (((11, 2), (17, 2), (17, 11), (22, 26), (6, 26), (11, 11)),),
)
"""Polygons of each kind, in pixels."""


def _images(count: int, random: np.random.Generator, draw: Callable[[ImageDraw.ImageDraw], None]) -> Images:
    images = np.zeros((count, 1, SIZE, SIZE), np.float32)
    for image in images:
        canvas = Image.new("L", (SIZE, SIZE))
        draw(ImageDraw.Draw(canvas))
        turned = ndimage.rotate(np.asarray(canvas) / 255, random.uniform(-15, 15), reshape=False, order=1)
        image[0] = np.clip(1.2 * ndimage.gaussian_filter(turned, 0.5), 0, 1)
    return images
