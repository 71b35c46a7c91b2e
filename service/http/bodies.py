"""Request bodies: collected from their pieces, bounded in size, inflated where they are compressed."""

from functools import partial
from io import BytesIO

from starlette.types import ASGIApp, Receive, Scope, Send

from models.errors import InvalidInput, TooLarge
from service.host.codec_pool import CodecPool
from service.host.memory_budget import Reservation
from service.http.scopes import client_address
from service.wire.compression import decompress, inflate_small

FREE_PIECES = 4096
MEAN_PIECE_BYTES = 64
"""Of the pieces of a body beyond the first `FREE_PIECES`. Each takes about as long to parse as so many bytes."""


class CollectedBody:
    """The pieces of a body, in one block of memory: many small ones cost no more than their bytes.

    Args:
        max_bytes: of the whole body.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._pieces = 0
        self.size = 0
        self._first = b""
        self._all: BytesIO | None = None

    def add(self, piece: bytes) -> None:
        """Add the next piece.

        Raises:
            TooLarge: the body has more bytes than allowed.
            InvalidInput: it comes in too many small pieces.
        """
        if not self.size:
            self._first = piece
        else:
            if self._all is None:
                self._all = BytesIO()
                self._all.write(self._first)
            self._all.write(piece)
        self.size += len(piece)
        self._pieces += 1
        if self.size > self._max_bytes:
            raise TooLarge(f"more than {self._max_bytes} bytes", "body")
        if self._pieces > FREE_PIECES + self.size // MEAN_PIECE_BYTES:
            raise InvalidInput("sent in too many small chunks", "body")

    def take(self) -> bytes:
        """The whole body. Nothing is collected any more."""
        body = self._first if self._all is None else self._all.getvalue()  # which is not copied
        self.size, self._pieces, self._first, self._all = 0, 0, b"", None
        return body


async def read_body(scope: Scope, receive: Receive, max_bytes: int, codec_pool: CodecPool | None = None) -> bytes:
    """The whole body, inflated where it is compressed.

    `service.http.protocol` has collected it, in the time that it has, and bounded by the limit of all bodies.

    Args:
        scope, receive: of the request.
        max_bytes: most bytes of the body, as it comes and inflated.
        codec_pool: inflates what is large. Not needed where nothing large is read.

    Raises:
        UnsupportedEncoding: it is compressed in another way than gzip or deflate.
        TooLarge: it is, says it is, or holds more than allowed; the rest is neither read nor inflated.
        InvalidInput: the client disconnected, or it is broken.
    """
    encoding = None
    for name, value in scope["headers"]:
        if name == b"content-length" and not (value.isdigit() and int(value) <= max_bytes):
            raise TooLarge(f"{value.decode('latin-1')} bytes, at most {max_bytes} are read", "body")
        if name == b"content-encoding":
            encoding = str(value, "latin-1")
    body = await _receive_all(receive, max_bytes)
    if encoding is None:
        return body
    if codec_pool is None or (inflated := inflate_small(body, encoding)) is None:
        inflate = partial(decompress, body, encoding, max_bytes)
        return inflate() if codec_pool is None else await codec_pool.run(client_address(scope), max_bytes, inflate)
    return inflated


async def disconnected(receive: Receive) -> None:
    """Return when the client has disconnected. Only for requests whose body has been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _receive_all(receive: Receive, max_bytes: int) -> bytes:
    collected = CollectedBody(max_bytes)
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidInput("the client disconnected before its end", "body")
        collected.add(message.get("body", b""))
        if not message.get("more_body", False):
            return collected.take()


class Held:
    """ASGI application for one request, whose memory is held until it has been answered.

    Args:
        app: answers it.
        reservation: of the memory.
    """

    def __init__(self, app: ASGIApp, reservation: Reservation) -> None:
        self._app = app
        self._reservation = reservation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        try:
            await self._app(scope, receive, send)
        finally:
            self.release()

    def release(self) -> None:
        """Hold nothing any more."""
        self._reservation.release()
