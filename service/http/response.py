"""A response that is written without ASGI."""

from collections.abc import Iterable
from typing import NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.errors import PublicError
from service.http.errors import error_response

_CLOSE = (b"connection", b"close")


class Response(NamedTuple):
    """What is to be sent.

    Attributes:
        status: its code.
        headers: the length of the body among them.
        body: all of it.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

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
        parts = [STATUS_LINE[self.status]]
        for name, value in (*default_headers, *self.headers):
            parts += (name, b": ", value, b"\r\n")
        parts += (b"\r\n", self.body)
        return b"".join(parts)


def from_error(error: PublicError) -> Response:
    """The response to an error, in the format of every error."""
    response = error_response(error)
    return Response(response.status_code, response.raw_headers, bytes(response.body))
