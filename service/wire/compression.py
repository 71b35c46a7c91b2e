"""gzip and deflate, in both directions, as the clients of the Open Inference Protocol use them."""

import gzip
import zlib
from typing import Literal

from models.errors import InvalidInput, TooLarge, UnsupportedEncoding

Encoding = Literal["gzip", "deflate"]

_FIELD = "Content-Encoding"
_WINDOW_BITS: dict[str, int] = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
"""What zlib takes for a gzip header, and for its own, which is what HTTP calls deflate."""

_FAST = 1
"""Numbers hardly get smaller with a better level, only later."""


def decompress(data: bytes, encoding: str, max_bytes: int) -> bytes:
    """The body as it was before it was compressed.

    Args:
        data: all of it.
        encoding: value of the header `Content-Encoding`.
        max_bytes: more than this is not inflated, however much is packed into `data`.

    Raises:
        UnsupportedEncoding: it is neither gzip, deflate nor identity.
        TooLarge: there is more inside.
        InvalidInput: the data is broken, cut off, or followed by something else.
    """
    name = encoding.strip().lower()
    if name == "identity":
        return data
    if name not in _WINDOW_BITS:
        raise UnsupportedEncoding(f"'{encoding}' is not read, only gzip and deflate", _FIELD)
    inflater = zlib.decompressobj(_WINDOW_BITS[name])
    try:
        inflated = inflater.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise InvalidInput(f"is not valid {name}", "body") from error
    if len(inflated) > max_bytes:
        raise TooLarge(f"more than {max_bytes} bytes when inflated", "body")
    if not inflater.eof or inflater.unused_data:
        raise InvalidInput(f"is not exactly one {name} stream", "body")
    return inflated


def compress(data: bytes, encoding: Encoding) -> bytes:
    """The body as `Content-Encoding` says."""
    return gzip.compress(data, _FAST, mtime=0) if encoding == "gzip" else zlib.compress(data, _FAST)


def negotiate(accept_encoding: str) -> Encoding | None:
    """The encoding that a client likes best of those that are offered; None for none (RFC 9110, section 12.5.3).

    Args:
        accept_encoding: value of the header `Accept-Encoding`.
    """
    weights = dict(_weights(accept_encoding))
    offered: tuple[Encoding, Encoding] = ("gzip", "deflate")
    best = max(offered, key=lambda name: weights.get(name, 0.0))
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
