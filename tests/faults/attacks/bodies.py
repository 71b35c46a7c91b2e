"""Request bodies that cost a server much more than they cost who sends them.

Each generator takes a size in bytes and returns a request of about that size: its path, headers and body. Those named
`gzip ...` inflate to that size. They are meant for the starter models. None has a valid answer, except where the name
begins with `valid`.
"""

import gzip
import struct
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from tests.faults.attacks.attack import Attack, Scale, refused
from tests.faults.target import Target

Request = tuple[str, dict[str, str], bytes]
"""Path, headers and body."""

V2 = "/v2/models/mlp/infer"
V1 = "/v1/models/mlp:predict"
NORMALIZE = "/v2/normalize"
LAYER = "/v2/models/mlp/layers/hidden.0.norm/normalize"
RECALIBRATIONS = "/v2/models/mlp/recalibrations"
IMAGE = "/v2/models/convnet/predict"

_JSON = {"content-type": "application/json"}
_INPUT = b'{"inputs": [{"name": "input", "shape": [1, 784], "datatype": "FP32", "data": %s}]}'


def _repeat(piece: bytes, size: int) -> bytes:
    return piece * (size // len(piece))


def _list(piece: bytes, size: int) -> bytes:
    """A list of one value again and again."""
    return b"[" + _repeat(piece + b",", size) + piece + b"]"


def _keys(size: int) -> bytes:
    """An object of that many different members."""
    return b"{" + b",".join(b'"%07x":0' % number for number in range(size // 12)) + b"}"


def _json(path: str, form: bytes, fill: Callable[[int], bytes]) -> Callable[[int], Request]:
    """A JSON body: `form` with what `fill` makes at its `%s`."""
    return lambda size: (path, _JSON, form % fill(size))


def _listed(path: str, form: bytes, piece: bytes) -> Callable[[int], Request]:
    return _json(path, form, lambda size: _list(piece, size))


def _repeated(path: str, form: bytes, piece: bytes) -> Callable[[int], Request]:
    return _json(path, form, lambda size: _repeat(piece, size))


def _nested(path: str, form: bytes) -> Callable[[int], Request]:
    return _json(path, form, lambda size: b"[" * (size // 2) + b"]" * (size // 2))


def _texts(size: int) -> Request:
    """Raw tensors: a header that describes nothing of what follows."""
    return V2, {"inference-header-content-length": "0"}, bytes(size)


def _long_header(size: int) -> Request:
    header = _INPUT % _list(b"[]", size)
    return V2, {"inference-header-content-length": str(len(header))}, header


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *, depth: int = 8, colour: int = 0, channels: int = 1) -> bytes:
    """A black PNG: a small file of any number of pixels.

    Args:
        width, height: in pixels.
        depth: bits of a channel.
        colour: PNG's colour type.
        channels: of that colour type.
    """
    row = 1 + (width * channels * depth + 7) // 8
    packer = zlib.compressobj(9)
    strips = [packer.compress(bytes(row * min(64, height - top))) for top in range(0, height, 64)]
    data = b"".join((*strips, packer.flush()))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _png(*, depth: int, colour: int, channels: int) -> Callable[[int], Request]:
    """A PNG of half as many pixels as there are bytes: 32 megapixels for 64 MB."""

    def make(size: int) -> Request:
        width = int((size / 2) ** 0.5)
        return IMAGE, {"content-type": "image/png"}, png(width, width, depth=depth, colour=colour, channels=channels)

    return make


def _png_texts(size: int) -> Request:
    """A small PNG with compressed texts, which inflate to that size."""
    text = _chunk(b"zTXt", b"t\0\0" + zlib.compress(bytes(1 << 19), 9))
    start, end = png(28, 28)[:33], png(28, 28)[33:]
    return IMAGE, {"content-type": "image/png"}, start + text * (size >> 19) + end


def _jpeg_segments(size: int) -> Request:
    """A JPEG of empty segments without an image."""
    return IMAGE, {"content-type": "image/jpeg"}, b"\xff\xd8" + _repeat(b"\xff\xe1\x00\x02", size)


def _gzipped(make: Callable[[int], Request]) -> Callable[[int], Request]:
    def make_gzipped(size: int) -> Request:
        path, headers, body = make(size)
        return path, {**headers, "content-encoding": "gzip"}, gzip.compress(body, 9)

    return make_gzipped


_PLAIN: dict[str, Callable[[int], Request]] = {
    "open lists": _repeated(V2, b"%s", b"["),
    "open objects": _repeated(V2, b"%s", b'{"a":'),
    "nested lists as data": _nested(V2, _INPUT),
    "empty lists": _listed(V2, b"%s", b"[]"),
    "empty lists as data": _listed(V2, _INPUT, b"[]"),
    "empty objects as data": _listed(V2, _INPUT, b"{}"),
    "nulls as data": _listed(V2, _INPUT, b"null"),
    "booleans as data": _listed(V2, _INPUT, b"true"),
    "strings as data": _listed(V2, _INPUT, b'"ab"'),
    "NaN as data": _listed(V2, _INPUT, b"NaN"),
    "rows of one number as data": _listed(V2, _INPUT, b"[1]"),
    "ragged rows as data": _listed(V2, _INPUT, b"[1,2],[3]"),
    "too many numbers as data": _listed(V2, _INPUT, b"1"),
    "digits": _json(V2, _INPUT, lambda size: b"[0." + b"1" * size + b"]"),
    "numbers with many digits": _listed(V2, _INPUT, b"0." + b"1" * (1 << 20)),
    "large exponents": _listed(V2, _INPUT, b"1e-999999999"),
    "spaces": _json(V2, _INPUT, lambda size: b"[1," + b" " * size + b"1]"),
    "keys": _json(V2, b"%s", _keys),
    "keys of parameters": _json(V2, b'{"parameters": %s, "inputs": []}', _keys),
    "nested parameters": _json(
        V2, b'{"inputs": [], "parameters": %s}', lambda size: b'{"a":' * (size // 6) + b"1" + b"}" * (size // 6)
    ),
    "long name": _json(V2, b'{"inputs": [{"name": "%s"}]}', lambda size: b"a" * size),
    "escapes": _json(V2, b'{"id": "%s", "inputs": []}', lambda size: _repeat(b"\\n", size)),
    "unicode escapes": _json(V2, b'{"id": "%s", "inputs": []}', lambda size: _repeat(b"\\u00e9", size)),
    "unicode": _json(V2, b'{"id": "%s", "inputs": []}', lambda size: _repeat("\U0001f600".encode(), size)),
    "backslashes": _json(V2, b'{"id": "%s', lambda size: b"\\" * size),
    "inputs": _listed(V2, b'{"inputs": %s}', b'{"name":"input"}'),
    "outputs": _listed(V2, _INPUT[:-1] % _list(b"0", 2 * 783) + b', "outputs": %s}', b'{"name":"logits"}'),
    "long shape": _listed(V2, b'{"inputs": [{"name": "input", "datatype": "FP32", "shape": %s, "data": []}]}', b"1"),
    "raw bytes": _texts,
    "binary with a long JSON part": _long_header,
    "V1 empty rows": _listed(V1, b'{"instances": %s}', b"[]"),
    "V1 rows of one number": _listed(V1, b'{"instances": %s}', b"[1]"),
    "V1 numbers": _listed(V1, b'{"instances": %s}', b"1"),
    "V1 empty objects": _listed(V1, b'{"instances": %s}', b"{}"),
    "V1 objects": _listed(V1, b'{"instances": %s}', b'{"input":[1]}'),
    "V1 base64": _json(V1, b'{"instances": [{"b64": "%s"}]}', lambda size: b64encode(bytes(size * 3 // 4))),
    "V1 many base64": _listed(V1, b'{"instances": %s}', b'{"b64":"AAAA"}'),
    "V1 columns": _json(V1, b'{"inputs": %s}', _keys),
    "normalize empty rows": _listed(NORMALIZE, b'{"data": %s}', b"[]"),
    "normalize gamma": _listed(NORMALIZE, b'{"data": [[1], [2]], "gamma": %s}', b"1"),
    "normalize keys": _json(NORMALIZE, b"%s", _keys),
    "normalize with a layer": _listed(LAYER, b'{"data": %s}', b"[1]"),
    "re-calibration of empty lists": _listed(RECALIBRATIONS, _INPUT, b"[]"),
    "re-calibration keys": _json(RECALIBRATIONS, b'{"collect": 64, "parameters": %s}', _keys),
    "rollout": _json("/v2/models/mlp/rollout/promote", b"%s", _keys),
}

_COMPRESSED = ("empty lists as data", "open lists", "keys", "too many numbers as data", "raw bytes", "V1 empty rows")

_VALID: dict[str, Callable[[int], Request]] = {
    "valid normalize rows": _listed(NORMALIZE, b'{"data": %s}', b"[1,2]"),
    "valid grey image": _png(depth=8, colour=0, channels=1),
    "valid grey image of 16 bits": _png(depth=16, colour=0, channels=1),
    "valid transparent image": _png(depth=8, colour=6, channels=4),
    "image with long texts": _png_texts,
    "image of segments": _jpeg_segments,
}

HOSTILE_BODIES: Mapping[str, Callable[[int], Request]] = {
    **_PLAIN,
    **{f"gzip {name}": _gzipped(_PLAIN[name]) for name in _COMPRESSED},
    **_VALID,
}
"""By name of the attack."""


def _send(make: Callable[[int], Request], target: Target, scale: Scale) -> Iterable[str]:
    path, headers, body = make(scale.size)
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    head = "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""])
    return [target.send([head.encode(), body])]


ATTACKS = [
    Attack(
        name,
        partial(_send, make),
        refused("415", "422", *(["200"] if name.startswith(("valid", "image with")) else [])),
    )
    for name, make in HOSTILE_BODIES.items()
]
