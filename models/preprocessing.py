"""Images -> pixels -> rows of a model's input."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image, ImageOps

from models.manifest import ImagePreprocessing

_MODES = {"grey": "L", "rgb": "RGB"}

_STRIP_PIXELS = 1 << 18


def read_pixels(image: Image.Image, preprocessing: ImagePreprocessing) -> NDArray[np.uint8]:
    """The image as a person sees it: upright, and black where it is transparent.

    Args:
        image: opened by Pillow, and rotated here.
        preprocessing: of the model. An image of another size is resized, bilinear with antialiasing.

    Returns:
        Shape (channels, height, width).
    """
    ImageOps.exif_transpose(image, in_place=True)
    resized = _resize(image, preprocessing.width, preprocessing.height, _MODES[preprocessing.mode])
    pixels: NDArray[np.uint8] = np.asarray(resized).reshape(preprocessing.height, preprocessing.width, -1)
    return np.moveaxis(pixels, -1, 0)


def prepare_pixels(
    pixels: NDArray[np.uint8], preprocessing: ImagePreprocessing, dtype: DTypeLike = np.float32
) -> NDArray[Any]:
    """``(pixel * scale - mean) / std`` per colour channel.

    Args:
        pixels: shape (..., C, H, W).
        preprocessing: of the model.
        dtype: the floating type to compute in.
    """
    mean, std = (np.asarray(values, dtype)[:, None, None] for values in (preprocessing.mean, preprocessing.std))
    rows = pixels.astype(dtype, order="C")
    rows *= np.asarray(preprocessing.scale, dtype)
    rows -= mean
    rows /= std
    return rows


def _resize(image: Image.Image, width: int, height: int, mode: str) -> Image.Image:
    """The image in another size and mode.

    As Pillow resizes: first each row, then each column. The rows go by strips, since some steps before keep all other
    threads waiting, and take several times the memory.
    """
    narrow = Image.new(mode, (width, image.height))
    step = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, step):
        bottom = min(top + step, image.height)
        strip = _flatten(image.crop((0, top, image.width, bottom))).convert(mode)
        narrow.paste(strip.resize((width, bottom - top), Image.Resampling.BILINEAR), (0, top))
    return narrow.resize((width, height), Image.Resampling.BILINEAR)


def _flatten(image: Image.Image) -> Image.Image:
    """The image on a black background, with 8 bits per channel."""
    if image.mode == "I;16":
        return _eight_bits(image)
    if not image.has_transparency_data:
        return image
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "black"), rgba)


def _eight_bits(image: Image.Image) -> Image.Image:
    """The upper 8 of 16 bits, which Pillow takes for colours. For grey it would clip."""
    grey = np.array(image)
    grey[grey == image.info.get("transparency")] = 0
    return Image.fromarray((grey >> 8).astype(np.uint8))
