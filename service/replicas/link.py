"""Messages between the control process and one worker, both ways over one socket.

A message has a kind, which is a short name, and bytes as its payload. Each side registers one handler for each kind of
message that it receives:

    link.on("statistics", handler)                  # async def handler(payload: bytes) -> bytes
    answer = await link.request("statistics", b"")  # waits for the handler on the other side, and raises what it raised
    link.send("observation", payload)               # waits for nothing; False if the message was dropped

A worker has one link. The supervisor has one for each worker, and registers handlers for all of them at once.

Messages of one kind are handled one at a time, in the order in which they were sent; those of different kinds do not
wait for each other. Where the other side does not keep up, `send` drops rather than let messages pile up. The link ends
when either process does: each learns of the other's death at once, however it died.

Payloads are what both sides agree on: JSON, or arrays by `np.savez` and `np.load(..., allow_pickle=False)`.

On the wire a message is one line of JSON, `[mark, number, kind, size]`, and `size` bytes of payload.
"""

import asyncio
import socket
from collections import defaultdict
from itertools import count
from typing import Literal, Self

import orjson
import structlog

from models.errors import DengeError
from service.replicas.interface import Handler

log = structlog.get_logger()

MAX_PAYLOAD = 256 << 20
_MAX_UNSENT = 16 << 20
"""Bytes that may wait to be sent before `send` drops messages. Requests are never dropped."""

_Mark = Literal["request", "notice", "answer", "failure"]


class LinkClosed(DengeError):
    """The process at the other end has ended."""


class HandlerFailed(DengeError):
    """The handler at the other end raised; the message is the error's own."""


class Link:
    """One end of a link. All methods but `send` are for the event loop that opened it.

    Args:
        reader, writer: of the socket.

    Attributes:
        closed: whether this end was closed, or the other process has ended.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._handlers: dict[str, Handler] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._numbers = count()
        self._pending: dict[int, asyncio.Future[bytes]] = {}
        self._handling: set[asyncio.Task[None]] = set()
        self.closed = False

    @classmethod
    async def open(cls, end: socket.socket) -> Self:
        """A link over one end of a connected pair of sockets."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    def on(self, kind: str, handler: Handler) -> None:
        """Call this for every message of a kind. What it returns is the answer, where one is asked for."""
        self._handlers[kind] = handler

    async def request(self, kind: str, payload: bytes = b"") -> bytes:
        """The other side's answer.

        Raises:
            LinkClosed: the other process has ended, before or meanwhile.
            HandlerFailed: its handler raised.
        """
        if self.closed:
            raise LinkClosed("the process at the other end has ended")
        number = next(self._numbers)
        answer: asyncio.Future[bytes] = self._loop.create_future()
        self._pending[number] = answer
        try:
            self._send("request", number, kind, payload)
            return await answer
        finally:
            del self._pending[number]

    def send(self, kind: str, payload: bytes = b"") -> bool:
        """Send a message, and wait for nothing. From any thread.

        Returns:
            Whether it was sent. It is dropped if too much waits to be sent already, or the other process has ended.
        """
        if self.closed or self._writer.transport.get_write_buffer_size() > _MAX_UNSENT:
            return False
        try:
            self._loop.call_soon_threadsafe(self._send, "notice", 0, kind, payload)
        except RuntimeError:  # the loop has ended meanwhile
            return False
        return True

    async def run(self) -> None:
        """Read and handle messages until the other process ends, or `close`."""
        try:
            while line := await self._reader.readline():
                mark, number, kind, size = orjson.loads(line)
                if size > MAX_PAYLOAD:
                    raise ValueError(f"a payload of {size} bytes")
                self._receive(mark, number, kind, await self._reader.readexactly(size))
        except (OSError, asyncio.IncompleteReadError):
            pass  # the other process died in the middle of a message
        finally:
            self.close()

    def close(self) -> None:
        """Close this end. Pending requests raise `LinkClosed`; handlers that have begun go on to their end."""
        self.closed = True
        self._writer.close()
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(LinkClosed("the process at the other end has ended"))

    def _receive(self, mark: _Mark, number: int, kind: str, payload: bytes) -> None:
        if mark in {"request", "notice"}:
            handling = self._loop.create_task(self._handle(mark, number, kind, payload))
            self._handling.add(handling)
            handling.add_done_callback(self._handling.discard)
        elif (answer := self._pending.get(number)) and not answer.done():
            if mark == "answer":
                answer.set_result(payload)
            else:
                answer.set_exception(HandlerFailed(payload.decode()))

    async def _handle(self, mark: _Mark, number: int, kind: str, payload: bytes) -> None:
        async with self._turns[kind]:
            try:
                if kind not in self._handlers:
                    raise LookupError(f"no handler for messages of kind '{kind}'")
                result = await self._handlers[kind](payload)
            except Exception as error:
                log.error("message_failed", kind=kind, exc_info=error)
                if mark == "request":
                    self._send("failure", number, kind, str(error).encode())
            else:
                if mark == "request":
                    self._send("answer", number, kind, result)

    def _send(self, mark: _Mark, number: int, kind: str, payload: bytes) -> None:
        if self.closed:
            return
        self._writer.write(orjson.dumps([mark, number, kind, len(payload)]) + b"\n")
        self._writer.write(payload)
