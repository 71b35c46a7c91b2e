"""PNG and JPEG files to one row of a model's input.

The content of a file decides its format, never its name or media type. Nothing is decoded before the size that its
header states has been checked.
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

# Pillow only warns about sizes up to twice its own limit; `decode` refuses what exceeds its own argument.
Image.MAX_IMAGE_PIXELS = None


def decode(data: bytes, preprocessing: ImagePreprocessing, max_pixels: int) -> NDArray[np.float32]:
    """``(pixel * scale - mean) / std`` of the image as a person sees it: upright, and black where it is transparent.

    Args:
        data: a whole PNG or JPEG file.
        preprocessing: of the model. An image of another size is resized, bilinear with antialiasing.
        max_pixels: width times height of the largest image that is decoded.

    Returns:
        Shape (channels, height, width), C-contiguous.

    Raises:
        TooLarge: the image has more pixels than `max_pixels`.
        InvalidInput: the file is not PNG or JPEG, or it is damaged or truncated.
    """
    image = _pixels(data, _MODES[preprocessing.mode], max_pixels)
    image = image.resize((preprocessing.width, preprocessing.height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image).reshape(preprocessing.height, preprocessing.width, -1)
    return prepare_pixels(np.moveaxis(pixels, -1, 0), preprocessing)  # (channels, height, width)


def _pixels(data: bytes, mode: str, max_pixels: int) -> Image.Image:
    with _reading():
        image: Image.Image = Image.open(BytesIO(data), formats=("PNG", "JPEG"))
    if image.width * image.height > max_pixels:
        raise TooLarge(f"got {image.width} x {image.height} pixels, expected at most {max_pixels}", FIELD)
    with _reading():
        return _flatten(ImageOps.exif_transpose(image)).convert(mode)


@contextmanager
def _reading() -> Iterator[None]:
    """Turn the errors of Pillow's readers, from OSError to struct.error, into one that blames the file."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidInput(
            "expected a PNG or JPEG image; this is another format, or damaged or truncated", FIELD
        ) from error


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
