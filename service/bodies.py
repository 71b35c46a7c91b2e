"""Reads request bodies: raw, bounded in size and time."""

import asyncio

from starlette.types import Receive, Scope

from models.errors import InvalidInput, TooLarge, UnsupportedEncoding


async def read_body(scope: Scope, receive: Receive, max_bytes: int, max_seconds: float = 60.0) -> bytes:
    """The whole body.

    Raises:
        UnsupportedEncoding: it is compressed.
        TooLarge: it is, or says it is, longer than allowed; the rest is not read.
        InvalidInput: it did not arrive in time, or the client went away.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and not (value.isdigit() and int(value) <= max_bytes):
            raise TooLarge(f"{value.decode('latin-1')} bytes, at most {max_bytes} are read", "body")
        if name == b"content-encoding":
            raise UnsupportedEncoding(f"'{value.decode('latin-1')}' is not read", "Content-Encoding")
    try:
        async with asyncio.timeout(max_seconds):
            return await _receive_all(receive, max_bytes)
    except TimeoutError:
        raise InvalidInput(f"did not arrive within {max_seconds:g} seconds", "body") from None


async def disconnected(receive: Receive) -> None:
    """Return when the client has gone. Only for requests whose body has been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _receive_all(receive: Receive, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidInput("the client went away before its end", "body")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise TooLarge(f"more than {max_bytes} bytes", "body")
        if not message.get("more_body", False):
            return b"".join((*chunks, chunk)) if chunks else chunk
        chunks.append(chunk)
