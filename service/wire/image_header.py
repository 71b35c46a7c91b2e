"""What decoding a PNG or JPEG file takes, by the size that it states."""

from struct import Struct

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

_BYTES_PER_PIXEL = 4
_BYTES_PER_PROGRESSIVE_PIXEL = 6
"""Of the coefficients of three colours, which a progressive file gives a few at a time."""


def decoding_bytes(data: bytes) -> int | None:
    """Memory that Pillow takes to decode a file; None if it is neither PNG nor JPEG, or states no size."""
    if data.startswith(_PNG) and len(data) >= _PNG_SIZE_AT + 8:
        width, height = _png_size(data, _PNG_SIZE_AT)
        return int(width * height * _BYTES_PER_PIXEL)
    return _read_jpeg(data) if data.startswith(_JPEG) else None


def _read_jpeg(data: bytes) -> int | None:
    largest: int | None = None  # readers do not agree on which of several sizes holds
    place = len(_JPEG)
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
            bytes_per_pixel = _BYTES_PER_PIXEL + (_BYTES_PER_PROGRESSIVE_PIXEL if marker in _PROGRESSIVE else 0)
            largest = max(largest or 0, width * height * bytes_per_pixel)
        place += 2 + length
    return None
