"""Bodies that come in pieces, are cut, or wrong about themselves."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from models.errors import InvalidInput, TooLarge, UnsupportedEncoding
from service.http.bodies import read_body


def read(*messages: dict[str, Any], headers: dict[str, str] | None = None) -> bytes:
    """Read a body that arrives in these messages, and then no more."""

    async def scenario() -> bytes:
        remaining = list(messages)

        async def receive() -> dict[str, Any]:
            if remaining:
                return remaining.pop(0)
            await asyncio.Event().wait()
            raise AssertionError

        raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
        return await read_body({"type": "http", "method": "POST", "headers": raw}, receive, 10)

    return asyncio.run(scenario())


def chunk(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def test_chunks_are_joined() -> None:
    assert read(chunk(b"12345", more=True), chunk(b"67890")) == b"1234567890"
    assert read(chunk(b"")) == b""


@pytest.mark.parametrize(
    ("reader", "error"),
    [
        (lambda: read(chunk(b"12345678901")), TooLarge),
        (lambda: read(chunk(b"123456", more=True), chunk(b"789012", more=True)), TooLarge),
        (lambda: read(headers={"Content-Length": "11"}), TooLarge),
        (lambda: read(headers={"Content-Length": "1e9"}), TooLarge),
        (lambda: read(chunk(b""), headers={"Content-Encoding": "br"}), UnsupportedEncoding),
        (lambda: read(chunk(b"12", more=True), {"type": "http.disconnect"}), InvalidInput),
    ],
    ids=["long", "longer than said", "says it is long", "says nonsense", "another encoding", "cut off"],
)
def test_a_body_that_cannot_be_read_is_refused(
    reader: Callable[[], Awaitable[bytes]], error: type[InvalidInput]
) -> None:
    with pytest.raises(error):
        reader()
