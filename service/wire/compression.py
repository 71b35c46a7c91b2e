"""Compression of bodies with gzip and deflate, which clients of the Open Inference Protocol use."""

import gzip
import zlib
from typing import Literal

from models.errors import InvalidInput, TooLarge, UnsupportedEncoding

Encoding = Literal["gzip", "deflate"]

_FIELD = "Content-Encoding"
_WINDOW_BITS: dict[str, int] = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
"""zlib's values for the gzip format, and for its own format, which HTTP calls deflate."""

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
        TooLarge: the inflated body has more bytes.
        InvalidInput: the data is damaged, truncated, or followed by something else.
    """
    name = encoding.strip().lower()
    if name == "identity":
        return data
    if name not in _WINDOW_BITS:
        raise UnsupportedEncoding(f"got '{encoding}', expected gzip, deflate or identity", _FIELD)
    inflater = zlib.decompressobj(_WINDOW_BITS[name])
    try:
        inflated = inflater.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise InvalidInput(f"not valid {name}", "body") from error
    if len(inflated) > max_bytes:
        raise TooLarge(f"got more than {max_bytes} bytes after decompression, which is the limit", "body")
    if not inflater.eof or inflater.unused_data:
        raise InvalidInput(f"truncated, or followed by other bytes; expected exactly one {name} stream", "body")
    return inflated


def compress(data: bytes, encoding: Encoding) -> bytes:
    """Compress a body."""
    return gzip.compress(data, _LEVEL, mtime=0) if encoding == "gzip" else zlib.compress(data, _LEVEL)


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
