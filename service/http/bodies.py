"""Reads request bodies: raw, bounded in size and time."""

import asyncio
from time import perf_counter

from starlette.types import Receive, Scope

from models.errors import InvalidInput, TooLarge
from service.wire.compression import decompress

MAX_SECONDS = 60.0

BEGAN = "denge.began"
"""Key of the scope: when a part of the body was received before, on the clock of `perf_counter`, seconds."""


async def read_body(scope: Scope, receive: Receive, max_bytes: int, max_seconds: float = MAX_SECONDS) -> bytes:
    """The whole body, inflated where it is compressed.

    Raises:
        UnsupportedEncoding: it is compressed in another way than gzip or deflate.
        TooLarge: it is, says it is, or holds more than allowed; the rest is neither read nor inflated.
        InvalidInput: it did not arrive in time, the client disconnected, or it is broken.
    """
    encoding = None
    for name, value in scope["headers"]:
        if name == b"content-length" and not (value.isdigit() and int(value) <= max_bytes):
            raise TooLarge(f"{value.decode('latin-1')} bytes, at most {max_bytes} are read", "body")
        if name == b"content-encoding":
            encoding = str(value, "latin-1")
    try:
        waited = perf_counter() - scope[BEGAN] if BEGAN in scope else 0.0
        async with asyncio.timeout(max_seconds - waited):
            body = await _receive_all(receive, max_bytes)
    except TimeoutError:
        raise InvalidInput(f"did not arrive within {max_seconds:g} seconds", "body") from None
    return body if encoding is None else decompress(body, encoding, max_bytes)


async def disconnected(receive: Receive) -> None:
    """Return when the client has disconnected. Only for requests whose body has been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _receive_all(receive: Receive, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidInput("the client disconnected before its end", "body")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise TooLarge(f"more than {max_bytes} bytes", "body")
        if not message.get("more_body", False):
            return b"".join((*chunks, chunk)) if chunks else chunk
        chunks.append(chunk)
