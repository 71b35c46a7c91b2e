"""Heads without end, and heads that are none."""

from collections.abc import Callable, Iterable
from functools import partial

from tests.faults.attacks.attack import Attack, Scale, pieces, refused
from tests.faults.target import Target

_PREDICT = b"POST /v2/models/mlp/infer HTTP/1.1\r\nHost: x\r\n"
_CHUNKED = _PREDICT + b"Transfer-Encoding: chunked\r\n\r\n"

Parts = Callable[[Scale], Iterable[bytes]]


def _long(before: bytes, repeated: bytes, after: bytes) -> Parts:
    def parts(scale: Scale) -> Iterable[bytes]:
        yield before
        yield from pieces(repeated, scale.size)
        yield after

    return parts


_LONG: dict[str, Parts] = {
    "a header value without end": _long(_PREDICT + b"X: ", b"a", b"\r\n\r\n"),
    "a header name without end": _long(_PREDICT, b"a", b": x\r\n\r\n"),
    "a URL without end": _long(b"GET /", b"a", b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a query without end": _long(b"GET /v2/health/live?", b"a=b&", b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a path of escapes": _long(b"GET /", b"%2e%2e%2f", b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a method without end": _long(b"", b"A", b" / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "headers without end": _long(_PREDICT, b"X-Y: z\r\n", b"\r\n"),
    "cookies without end": _long(_PREDICT, b"Cookie: a=b\r\n", b"\r\n"),
    "trailers without end": _long(_CHUNKED + b"1\r\n{\r\n0\r\n", b"X-Y: z\r\n", b"\r\n"),
    "a trailer's value without end": _long(_CHUNKED + b"1\r\n{\r\n0\r\nX: ", b"a", b"\r\n\r\n"),
    "a chunk extension without end": _long(_CHUNKED + b"1;", b"a", b"\r\n{\r\n0\r\n\r\n"),
    "chunks of one byte": _long(_CHUNKED, b"1\r\n[\r\n", b"0\r\n\r\n"),
    "empty lines without end": _long(b"", b"\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "nothing but zeros": _long(b"", b"\0", b""),
}

_ODD: dict[str, bytes] = {
    "no Host": b"GET /v2/health/live HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "two Content-Lengths": _PREDICT + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "two ways to say the length": _PREDICT + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown Transfer-Encoding": _PREDICT + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a negative Content-Length": _PREDICT + b"Content-Length: -1\r\n\r\n",
    "a Content-Length with a sign": _PREDICT + b"Content-Length: +2\r\n\r\n{}",
    "a Content-Length beyond 64 bits": _PREDICT + b"Content-Length: 99999999999999999999\r\n\r\n",
    "a chunk size beyond 64 bits": _CHUNKED + b"fffffffffffffffff\r\n",
    "a chunk size that is none": _CHUNKED + b"zz\r\n",
    "a space before the colon": _PREDICT + b"Content-Length : 2\r\n\r\n{}",
    "a folded header": _PREDICT + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
    "a control character in a header": _PREDICT + b"X: a\0b\r\n\r\n",
    "an escaped zero in the path": b"GET /v2/models/m%00lp HTTP/1.1\r\nHost: x\r\n\r\n",
    "an escaped parent in the path": b"GET /v2/models/%2e%2e%2f%2e%2e HTTP/1.1\r\nHost: x\r\n\r\n",
    "a version that is none": b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    "HTTP/2 without asking": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS on the plain port": bytes.fromhex("160301020001000001fc0303") + b"\0" * 500,
    "CONNECT": b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a method in lower case": b"get / HTTP/1.1\r\nHost: x\r\n\r\n",
}


def _send(parts: Parts, target: Target, scale: Scale) -> Iterable[str]:
    return [target.send(parts(scale))]


def _send_once(request: bytes, target: Target, _scale: Scale) -> Iterable[str]:
    return [target.send([request])]


ATTACKS = [
    *(Attack(name, partial(_send, parts), refused("404", "405")) for name, parts in _LONG.items()),
    *(
        Attack(name, partial(_send_once, request), refused("404", "405", "501", "505"))
        for name, request in _ODD.items()
    ),
]
