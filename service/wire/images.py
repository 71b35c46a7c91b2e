"""The bytes of an image file to one row of a model's input, as its manifest says."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from models.errors import InvalidInput, TooLarge
from models.manifest import ImagePreprocessing

FORMATS = ("PNG", "JPEG")
_MODES = {"grey": "L", "rgb": "RGB"}


def decode(data: bytes, preprocessing: ImagePreprocessing, max_pixels: int) -> NDArray[np.float32]:
    """Decode, orient, convert, resize and scale an image.

    Args:
        data: a PNG or JPEG file, recognised by its content.
        preprocessing: what the model takes.
        max_pixels: larger images are refused before they are decoded.

    Returns:
        Shape (channels, height, width), float32.

    Raises:
        TooLarge: the image has too many pixels.
        InvalidInput: the bytes are not an image, or are broken.
    """
    image = _open(data, max_pixels)
    pixels = _pixels(image, preprocessing)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    mean, std = (np.array(values, dtype=np.float32) for values in (preprocessing.mean, preprocessing.std))
    normal = (pixels.astype(np.float32) * np.float32(preprocessing.scale) - mean) / std
    return np.ascontiguousarray(normal.transpose(2, 0, 1))


def _open(data: bytes, max_pixels: int) -> Image.Image:
    """The decoded image, upright."""
    with _refusing():
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > max_pixels:
        raise TooLarge(f"{image.width} x {image.height} pixels, at most {max_pixels} are decoded", "body")
    with _refusing():
        image.load()
        return ImageOps.exif_transpose(image)


@contextmanager
def _refusing() -> Iterator[None]:
    """Errors of Pillow to errors of the caller's."""
    try:
        with warnings.catch_warnings():
            # Pillow warns at a limit of its own, half of the one where it raises; ours is asked about as well.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    except (Image.DecompressionBombError, MemoryError) as error:
        raise TooLarge("too many pixels", "body") from error
    except UnidentifiedImageError as error:
        raise InvalidInput("is not a PNG or JPEG image", "body") from error
    except Exception as error:
        # OSError, SyntaxError, ValueError, struct.error and others, by what is broken.
        raise InvalidInput("is a broken image", "body") from error


def _pixels(image: Image.Image, preprocessing: ImagePreprocessing) -> NDArray[np.uint8]:
    """Shape (height, width) or (height, width, 3), uint8."""
    if image.mode.startswith("I"):
        # Pillow would cut 16-bit grey off at 255 instead of scaling it.
        image = Image.fromarray((np.asarray(image, dtype=np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image)
    image = image.convert(_MODES[preprocessing.mode])
    size = (preprocessing.width, preprocessing.height)
    if image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(image)
