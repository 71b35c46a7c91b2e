"""Image files in requests for predictions to rows of a model's input.

A file is a whole body, an element of a BYTES tensor, or an object with base64.
"""

import binascii
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from math import prod

import numpy as np

from models.datatypes import Array
from models.errors import InvalidInput, TooLarge
from models.manifest import ImagePreprocessing, TensorSpec
from service.wire import image_header
from service.wire.image_header import ImageSize

File = tuple[str, bytes | memoryview]
"""Where it stands in the request, and its bytes."""

ReadImages = Callable[[int, Iterable[File], str], Array]
"""`ImageReader.read` with a limit."""

DATATYPE = b"BYTES"
BASE64_MEMBER = "b64"
"""The only member of an object that stands for bytes."""
BASE64 = f'"{BASE64_MEMBER}"'.encode()

_MAX_SIZES = 16
_SEARCHED_BYTES = 1 << 22
"""Bounds of what is read on the event loop to tell the memory: some milliseconds for any body."""

_HEADER_CHARACTERS = 1 << 16
"""Of base64. Few files have more before their size."""


class ImageReader:
    """Reads images for a model.

    Args:
        spec: the one input of the model.
        preprocessing: how an image becomes a row of it.
    """

    def __init__(self, spec: TensorSpec, preprocessing: ImagePreprocessing) -> None:
        self._spec = spec
        self._preprocessing = preprocessing
        self._row_size = preprocessing.height * preprocessing.width * len(preprocessing.mean)

    def read(self, count: int, files: Iterable[File], field: str, *, max_pixels: int) -> Array:
        """The rows of some images, shape (count, ...), or that of the input if it has no batch axis.

        Args:
            count: how many images there are.
            files: the images.
            field: where all of them stand in the request, for errors.
            max_pixels: of the largest image, and of all images together. An image counts as at least its row.

        Raises:
            TooLarge: the images have more pixels.
            InvalidInput: a file is no image, or the input does not take so many images.
        """
        one = [1 if size < 0 else size for size in self._spec.shape]
        if prod(one) != self._row_size:
            raise InvalidInput(f"input '{self._spec.name}' of shape {list(self._spec.shape)} is not one image", field)
        if count != 1 and not self._spec.has_free_first_axis:
            raise InvalidInput(f"got {count} images, input '{self._spec.name}' takes one", field)
        if count > max(1, max_pixels // self._row_size):
            raise TooLarge(f"got {count} images, expected at most {max_pixels // self._row_size} in a request", field)
        from service.wire import images  # noqa: PLC0415 - Pillow is slow to import, and many models take no images

        rows = np.empty((count, self._row_size), np.float32)
        pixels = 0
        for index, (place, data) in enumerate(files):
            file = bytes(data)
            size = image_header.read_size(file)
            pixels += size.pixels if size else 0
            if index and pixels > max_pixels:
                raise TooLarge(f"got {pixels} pixels up to this image, expected at most {max_pixels}", place)
            rows[index] = images.decode(file, self._preprocessing, max_pixels, place).reshape(-1)
        return rows.reshape((count, *one[1:]) if self._spec.has_free_first_axis else one)

    def decoding_bytes(self, sizes: Iterable[ImageSize | None], max_pixels: int) -> int:
        """Memory that `read` takes: for one image at a time, and for all rows.

        Args:
            sizes: of the images; None where it cannot be told.
            max_pixels: as in `read`.
        """
        most = max_pixels * image_header.MAX_BYTES_PER_PIXEL
        known = list(islice(sizes, _MAX_SIZES + 1))
        if len(known) > _MAX_SIZES:
            return most + max_pixels * np.float32().itemsize
        largest = max((most if size is None else size.decoding_bytes for size in known), default=1)
        return max(1, min(largest, most)) + len(known) * self._row_size * np.float32().itemsize


def find_files(body: bytes) -> Iterator[ImageSize | None]:
    """The sizes of the images that a body holds as they are, as far as it is searched."""
    for signature in image_header.SIGNATURES:
        start = body.find(signature, 0, _SEARCHED_BYTES)
        while start >= 0:
            yield image_header.read_size(body, start)
            start = body.find(signature, start + len(signature), _SEARCHED_BYTES)
    if len(body) > _SEARCHED_BYTES:
        yield None


def find_base64(body: bytes) -> Iterator[ImageSize | None]:
    """The sizes of the images that a JSON body holds in base64, as far as it is searched."""
    member = body.find(BASE64, 0, _SEARCHED_BYTES)
    while member >= 0:
        after = member + len(BASE64)
        _, _, text = body[after : after + _HEADER_CHARACTERS].partition(b'"')
        text = text.partition(b'"')[0]
        try:
            yield image_header.read_size(b64decode(text[: len(text) // 4 * 4]))
        except binascii.Error:
            yield None
        member = body.find(BASE64, after, _SEARCHED_BYTES)
    if len(body) > _SEARCHED_BYTES:
        yield None
