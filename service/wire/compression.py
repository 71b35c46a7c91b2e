"""Compression of bodies with gzip and deflate, which clients of the Open Inference Protocol use."""

import gzip
import zlib
from collections.abc import Iterator
from typing import Any, Literal

from models.errors import InvalidInput, TooLarge, UnsupportedEncoding
from service.wire.pieces import LARGE_BYTES

Encoding = Literal["gzip", "deflate"]

_FIELD = "Content-Encoding"
_WINDOW_BITS: dict[str, int] = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
"""zlib's values for the gzip format, and for its own format, which HTTP calls deflate."""

_MAX_RATIO = 200
_MIN_RATIO_BYTES = 8 << 20
"""Data that inflates to more must not have a higher ratio: numbers have 2 to 20, nothing but zeros has 200 to 1000."""

_PIECE_BYTES = 1 << 18
"""Bytes that are inflated at a time. Other threads need not wait for it."""

_LEVEL = 1
"""The fastest one: higher levels make numbers hardly any smaller."""


def decompress(data: bytes, encoding: str, max_bytes: int) -> bytes:
    """Decompress a body.

    Args:
        data: the whole body.
        encoding: value of the header `Content-Encoding`.
        max_bytes: most bytes to inflate, however many are compressed in `data`.

    Raises:
        UnsupportedEncoding: the encoding is not gzip, deflate or identity.
        TooLarge: the inflated body has more bytes, or far more than such data has.
        InvalidInput: the data is damaged, truncated, or followed by something else.
    """
    name = encoding.strip().lower()
    if name == "identity":
        return data
    if name not in _WINDOW_BITS:
        raise UnsupportedEncoding(f"got '{encoding}', expected gzip, deflate or identity", _FIELD)
    most = min(max_bytes, max(_MAX_RATIO * len(data), _MIN_RATIO_BYTES))
    inflater = zlib.decompressobj(_WINDOW_BITS[name])
    pieces: list[bytes] = []
    size = 0
    try:
        for piece in _inflate(inflater, data):
            pieces.append(piece)
            size += len(piece)
            if size > most:
                break
    except zlib.error as error:
        raise InvalidInput(f"not valid {name}", "body") from error
    if size > max_bytes:
        raise TooLarge(f"got more than {max_bytes} bytes after decompression, which is the limit", "body")
    if size > most:
        raise TooLarge(f"got more than {_MAX_RATIO} bytes for each compressed one, which is the limit", "body")
    if not inflater.eof or inflater.unused_data:
        raise InvalidInput(f"truncated, or followed by other bytes; expected exactly one {name} stream", "body")
    return b"".join(pieces)


def inflate_small(data: bytes, encoding: str) -> bytes | None:
    """The decompressed body; None if that is large.

    Raises:
        UnsupportedEncoding, InvalidInput: as `decompress`.
    """
    if len(data) > LARGE_BYTES:
        return None
    try:
        return decompress(data, encoding, LARGE_BYTES)
    except TooLarge:
        return None


def compress(data: bytes, encoding: Encoding) -> bytes:
    """Compress a body."""
    return gzip.compress(data, _LEVEL, mtime=0) if encoding == "gzip" else zlib.compress(data, _LEVEL)


def _inflate(inflater: Any, data: bytes) -> Iterator[bytes]:
    """What the data inflates to, piece by piece. What follows its end becomes the inflater's `unused_data`."""
    for start in range(0, len(data), _PIECE_BYTES):
        rest = data[start : start + _PIECE_BYTES]
        while True:
            piece = inflater.decompress(rest, _PIECE_BYTES)
            yield piece
            rest = inflater.unconsumed_tail
            if not rest and len(piece) < _PIECE_BYTES:
                break


def negotiate(accept_encoding: str) -> Encoding | None:
    """The encoding that a client prefers among the supported ones; None for no compression (RFC 9110, section 12.5.3).

    Args:
        accept_encoding: value of the header `Accept-Encoding`.
    """
    weights = dict(_weights(accept_encoding))
    supported: tuple[Encoding, Encoding] = ("gzip", "deflate")
    best = max(supported, key=lambda name: weights.get(name, 0.0))
    weight = weights.get(best, 0.0)
    return best if weight > 0 and weight >= weights.get("identity", 0.0) else None


def _weights(accept_encoding: str) -> list[tuple[str, float]]:
    found = []
    for item in accept_encoding.split(","):
        name, _, parameter = item.partition(";")
        quality = parameter.strip().removeprefix("q=")
        try:
            found.append((name.strip().lower(), float(quality) if parameter else 1.0))
        except ValueError:
            continue
    return found
