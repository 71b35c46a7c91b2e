"""Small files that become large images, and files that are no image."""

import io
import struct
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

from PIL import Image

from tests.faults.attacks.attack import Attack, Scale, refused
from tests.faults.target import Target

_ALLOWED = refused("200", "415")


@cache
def _encoded(kind: str, side: int) -> bytes:
    written = io.BytesIO()
    Image.new("L", (side, side)).save(written, kind, **({"progressive": True} if kind == "JPEG" else {}))
    return written.getvalue()


@cache
def _claims(width: int, height: int) -> bytes:
    """A PNG whose head promises more pixels than there are."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    written = [
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


def _post(content: bytes, target: Target) -> str:
    head = b"POST /v2/models/convnet/predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(content)
    return target.send([head, content])


def _crowd_of(kind: str, target: Target, scale: Scale) -> Iterable[str]:
    """At the largest scale, just under the 32 megapixels that are allowed by default."""
    content = _encoded(kind, int((scale.size / 2) ** 0.5))
    with ThreadPoolExecutor(max(4, scale.crowd // 12)) as pool:
        return list(pool.map(lambda _: _post(content, target), range(max(4, scale.crowd // 12))))


def _one(make: Callable[[], bytes], target: Target, _scale: Scale) -> Iterable[str]:
    return [_post(make(), target)]


ATTACKS = [
    *(Attack(f"large {kind} images at once", partial(_crowd_of, kind), _ALLOWED) for kind in ("PNG", "JPEG")),
    Attack("an image of a billion pixels", partial(_one, partial(_claims, 32_000, 32_000)), _ALLOWED),
    Attack("an image of 2^31 by 1 pixels", partial(_one, partial(_claims, 2**31 - 1, 1)), _ALLOWED),
    Attack("an image that ends early", partial(_one, lambda: _encoded("PNG", 64)[:-30]), _ALLOWED),
    Attack("an image that is none", partial(_one, lambda: b"GIF89a" + b"\xff" * 1000), _ALLOWED),
]
