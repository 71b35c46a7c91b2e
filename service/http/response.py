"""A response that the framework has no part in."""

from collections.abc import Iterable
from typing import NamedTuple

import orjson
from starlette.types import Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.errors import PublicError

_CLOSE = (b"connection", b"close")
_JSON = (b"content-type", b"application/json")


class Response(NamedTuple):
    """What is to be sent.

    Attributes:
        status: its code.
        headers: the length of the body among them.
        body: all of it.
        error: what it says is wrong, for the log; empty where nothing is.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    error: str = ""

    @property
    def closes(self) -> bool:
        """Whether the connection ends with it."""
        return _CLOSE in self.headers

    def closing(self) -> "Response":
        """The same response, after which the connection ends."""
        return self if self.closes else self._replace(headers=[*self.headers, _CLOSE])

    def to_bytes(self, default_headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """As it is sent.

        Args:
            default_headers: of every response.
        """
        lines = map(b": ".join, (*default_headers, *self.headers))
        return b"%b%b\r\n\r\n%b" % (STATUS_LINE[self.status], b"\r\n".join(lines), self.body)

    async def send_by_asgi(self, send: Send) -> None:
        """Send it to a client of an ASGI application."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


def from_error(error: PublicError) -> Response:
    """The response to an error, in the format of every error."""
    body = orjson.dumps({"error": error.message})
    own = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in error.headers.items()]
    return Response(error.status, [*own, (b"content-length", b"%d" % len(body)), _JSON], body, error.message)
