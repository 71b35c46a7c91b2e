"""The bytes of a PNG or JPEG file to one row of a model's input.

The file's content decides what it is, never its name or media type. Nothing is decoded before the size that the header
states has been checked.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from models.errors import InvalidInput, TooLarge
from models.manifest import ImagePreprocessing
from models.preprocessing import prepare_pixels

FIELD = "body"

_MODES = {"grey": "L", "rgb": "RGB"}

# Pillow only warns about sizes up to twice its own limit; `decode` refuses whatever exceeds the caller's.
Image.MAX_IMAGE_PIXELS = None


def decode(data: bytes, preprocessing: ImagePreprocessing, max_pixels: int) -> NDArray[np.float32]:
    """``(pixel * scale - mean) / std``, as a person would see the image: upright, and black where it is transparent.

    Args:
        data: a whole PNG or JPEG file.
        preprocessing: an image of another size is resized, bilinear with antialiasing; one that fits is left as it is.
        max_pixels: width times height of the largest image that is decoded.

    Returns:
        Shape (channels, height, width), C-contiguous.

    Raises:
        TooLarge: the image has more pixels than `max_pixels`.
        InvalidInput: not a PNG or JPEG file, or a broken or truncated one.
    """
    image = _pixels(data, _MODES[preprocessing.mode], max_pixels)
    image = image.resize((preprocessing.width, preprocessing.height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image).reshape(preprocessing.height, preprocessing.width, -1)
    return prepare_pixels(np.moveaxis(pixels, -1, 0), preprocessing)  # (channels, height, width)


def _pixels(data: bytes, mode: str, max_pixels: int) -> Image.Image:
    with _reading():
        image: Image.Image = Image.open(BytesIO(data), formats=("PNG", "JPEG"))
    if image.width * image.height > max_pixels:
        raise TooLarge(f"{image.width} x {image.height} pixels; at most {max_pixels} are decoded", FIELD)
    with _reading():
        return _flatten(ImageOps.exif_transpose(image)).convert(mode)


@contextmanager
def _reading() -> Iterator[None]:
    """Pillow's readers break in many ways, from OSError to struct.error: all of them say that the file is broken."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidInput("not a PNG or JPEG image, or a broken or truncated one", FIELD) from error


def _flatten(image: Image.Image) -> Image.Image:
    """The image on a black ground, with 8 bits a channel."""
    if image.mode == "I;16":
        return _eight_bits(image)
    if not image.has_transparency_data:
        return image
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "black"), rgba)


def _eight_bits(image: Image.Image) -> Image.Image:
    """The upper 8 of 16 bits, which Pillow takes of colours, where of grey it would clip."""
    grey = np.array(image)
    grey[grey == image.info.get("transparency")] = 0
    return Image.fromarray((grey >> 8).astype(np.uint8))
