"""The size that a PNG or JPEG file states, and so what decoding it takes."""

from struct import Struct
from typing import NamedTuple

_PNG = b"\x89PNG\r\n\x1a\n"
_png_size = Struct(">II").unpack_from
_PNG_SIZE_AT = 16

_JPEG = b"\xff\xd8"
_jpeg_segment = Struct(">BBH").unpack_from
_jpeg_size = Struct(">HH").unpack_from
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of the segments that state a size."""
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_SCAN = 0xDA
_MAX_SEGMENTS = 256

SIGNATURES = (_PNG, _JPEG + b"\xff")
"""How files begin."""

_BYTES_PER_PIXEL = 4
_BYTES_PER_PROGRESSIVE_PIXEL = 6
"""Of the coefficients of three colours, which a progressive file gives a few at a time."""

MAX_BYTES_PER_PIXEL = _BYTES_PER_PIXEL + _BYTES_PER_PROGRESSIVE_PIXEL


class ImageSize(NamedTuple):
    """The size that a file states; the largest, if it states several.

    Attributes:
        pixels: width times height.
        decoding_bytes: memory that Pillow takes to decode it.
    """

    pixels: int
    decoding_bytes: int


def read_size(data: bytes, start: int = 0) -> ImageSize | None:
    """The size of an image; None if it is neither PNG nor JPEG, or states no size.

    Args:
        data: the file, and whatever is around it.
        start: of the file.
    """
    if data.startswith(_PNG, start) and len(data) >= start + _PNG_SIZE_AT + 8:
        width, height = _png_size(data, start + _PNG_SIZE_AT)
        return ImageSize(width * height, width * height * _BYTES_PER_PIXEL)
    return _read_jpeg(data, start + len(_JPEG)) if data.startswith(_JPEG, start) else None


def is_image(data: bytes) -> bool:
    """Whether data begins like a PNG or JPEG file."""
    return read_size(data) is not None


def decoding_bytes(data: bytes) -> int:
    """Memory that decoding a file takes; 1 if it cannot be told, since the file is damaged."""
    size = read_size(data)
    return max(1, size.decoding_bytes) if size else 1


def _read_jpeg(data: bytes, place: int) -> ImageSize | None:
    largest: ImageSize | None = None  # readers do not agree on which of several sizes holds
    for _ in range(_MAX_SEGMENTS):
        while data.startswith(b"\xff\xff", place):
            place += 1
        if len(data) < place + 9:
            return None
        prefix, marker, length = _jpeg_segment(data, place)
        if prefix != 0xFF:
            return None
        if marker == _SCAN:
            return largest
        if marker in _FRAMES:
            height, width = _jpeg_size(data, place + 5)
            size = ImageSize(
                width * height,
                width * height * (MAX_BYTES_PER_PIXEL if marker in _PROGRESSIVE else _BYTES_PER_PIXEL),
            )
            largest = size if largest is None else ImageSize(*map(max, largest, size))
        place += 2 + length
    return None
