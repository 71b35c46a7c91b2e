"""PNG and JPEG files to one row of a model's input.

The content of a file decides its format, never its name or media type. Nothing is decoded before the size that its
header states has been checked.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.errors import InvalidInput, TooLarge
from models.manifest import ImagePreprocessing
from models.preprocessing import prepare_pixels, read_pixels
from service.wire import image_header

_MAX_SIDE = 1 << 16
"""Of a JPEG as well, which has no longer ones."""

_SCAN = b"\xff\xda"
_MAX_SCANS = 100
"""Each goes through all pixels of a progressive JPEG. Usual files have about ten."""

_PNG_WITHOUT_LINE_ENDS = b"\x89PNG\x1a"
_FORM_HEAD = 300
"""Bytes in which a form says what it is."""

# Pillow only warns about sizes up to twice its own limit; `decode` refuses what exceeds its own argument.
Image.MAX_IMAGE_PIXELS = None


def decode(data: bytes, preprocessing: ImagePreprocessing, max_pixels: int, field: str = "body") -> NDArray[np.float32]:
    """``(pixel * scale - mean) / std`` of the image as a person sees it: upright, and black where it is transparent.

    Args:
        data: a whole PNG or JPEG file.
        preprocessing: of the model. An image of another size is resized, bilinear with antialiasing.
        max_pixels: width times height of the largest image that is decoded.
        field: where the file stands in the request, for errors.

    Returns:
        Shape (channels, height, width), C-contiguous.

    Raises:
        TooLarge: the image has more pixels than `max_pixels`.
        InvalidInput: the file is not PNG or JPEG, or it is damaged or truncated.
    """
    return prepare_pixels(_pixels(data, preprocessing, max_pixels, field), preprocessing)


def _pixels(data: bytes, preprocessing: ImagePreprocessing, max_pixels: int, field: str) -> NDArray[np.uint8]:
    if not image_header.is_image(data):
        if data.startswith(b"--") and b"form-data" in data[:_FORM_HEAD]:
            raise InvalidInput("got a form; send the file itself: curl --data-binary @image.png", field)
        if data.startswith(_PNG_WITHOUT_LINE_ENDS):
            raise InvalidInput("got a PNG file without its line ends; use curl --data-binary, not -d", field)
        raise _unreadable(field)
    if data.count(_SCAN) > _MAX_SCANS:
        raise TooLarge(f"got more than {_MAX_SCANS} scans of a progressive JPEG, which is the limit", field)
    with _reading(field):
        image: Image.Image = Image.open(BytesIO(data), formats=("PNG", "JPEG"))
    if image.width * image.height > max_pixels:
        raise TooLarge(f"got {image.width} x {image.height} pixels, expected at most {max_pixels}", field)
    if max(image.size) > _MAX_SIDE:
        raise TooLarge(f"got {image.width} x {image.height} pixels, expected at most {_MAX_SIDE} of a side", field)
    with _reading(field):
        return read_pixels(image, preprocessing)


@contextmanager
def _reading(field: str) -> Iterator[None]:
    """Turn the errors of Pillow's readers, from OSError to struct.error, into one that blames the file."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise _unreadable(field) from error


def _unreadable(field: str) -> InvalidInput:
    return InvalidInput("expected a PNG or JPEG image; this is another format, or damaged or truncated", field)
