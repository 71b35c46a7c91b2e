"""Reads request bodies: raw, bounded in size and time."""

import asyncio

from starlette.requests import ClientDisconnect, Request

from models.errors import InvalidInput, TooLarge, UnsupportedEncoding


async def read_body(request: Request, max_bytes: int, max_seconds: float = 60.0) -> bytes:
    """The whole body.

    Raises:
        UnsupportedEncoding: it is compressed.
        TooLarge: it is, or says it is, longer than allowed; the rest is not read.
        InvalidInput: it did not arrive in time, or the client went away.
    """
    if encoding := request.headers.get("content-encoding"):
        raise UnsupportedEncoding(f"'{encoding}' is not read, send the body as it is", "Content-Encoding")
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > max_bytes:
        raise TooLarge(f"{declared} bytes, at most {max_bytes} are read", "body")
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(max_seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > max_bytes:
                    raise TooLarge(f"more than {max_bytes} bytes", "body")
                chunks.append(chunk)
    except TimeoutError:
        raise InvalidInput(f"did not arrive within {max_seconds:g} seconds", "body") from None
    except ClientDisconnect:
        raise InvalidInput("the client went away before its end", "body") from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
