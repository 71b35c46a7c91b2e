"""Messages between the control process and one worker, both ways over one socket.

Either side asks or tells the other something of a `kind`, a short name, with bytes as the payload, and registers one
handler a kind for what it is asked or told itself:

    link.on("statistics", handler)              # async def handler(payload: bytes) -> bytes
    answer = await link.ask("statistics", b"")  # waits for the handler on the other side, and raises what it raised
    link.tell("delta", payload)                 # waits for nothing; False where the message was dropped

A worker has one link. The supervisor has one for each worker, and registers handlers for all of them at once.

Messages of one kind are handled one at a time, in the order in which they were sent; those of different kinds do not
wait for each other. Where the other side does not keep up, `tell` drops rather than let messages pile up. The link ends
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
"""Bytes that may wait to be sent before `tell` drops; what is asked is never dropped."""

_Mark = Literal["ask", "tell", "answer", "failure"]


class LinkClosed(DengeError):
    """The process at the other end has gone."""


class Refused(DengeError):
    """The handler at the other end raised; the message is the error's own."""


class Link:
    """One end. Everything but `tell` belongs to the event loop that opened it.

    Args:
        reader, writer: the two ways of the socket.

    Attributes:
        closed: from this end, or since the other process has gone.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._handlers: dict[str, Handler] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._numbers = count()
        self._asked: dict[int, asyncio.Future[bytes]] = {}
        self._handling: set[asyncio.Task[None]] = set()
        self.closed = False

    @classmethod
    async def open(cls, end: socket.socket) -> Self:
        """A link over one end of a connected pair of sockets."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    def on(self, kind: str, handler: Handler) -> None:
        """Call this for every message of a kind. What it returns is the answer, where one is asked for."""
        self._handlers[kind] = handler

    async def ask(self, kind: str, payload: bytes = b"") -> bytes:
        """The other side's answer.

        Raises:
            LinkClosed: it has gone, before or meanwhile.
            Refused: its handler raised.
        """
        if self.closed:
            raise LinkClosed("the process at the other end has gone")
        number = next(self._numbers)
        answer: asyncio.Future[bytes] = self._loop.create_future()
        self._asked[number] = answer
        try:
            self._send("ask", number, kind, payload)
            return await answer
        finally:
            del self._asked[number]

    def tell(self, kind: str, payload: bytes = b"") -> bool:
        """Say something, and wait for nothing. From any thread.

        Returns:
            Whether it is on its way. It is dropped where too much waits already, and where the other side has gone.
        """
        if self.closed or self._writer.transport.get_write_buffer_size() > _MAX_UNSENT:
            return False
        try:
            self._loop.call_soon_threadsafe(self._send, "tell", 0, kind, payload)
        except RuntimeError:  # the loop has ended meanwhile
            return False
        return True

    async def run(self) -> None:
        """Read and handle messages until the other side goes away, or `close`."""
        try:
            while line := await self._reader.readline():
                mark, number, kind, size = orjson.loads(line)
                if size > MAX_PAYLOAD:
                    raise ValueError(f"a payload of {size} bytes")
                self._receive(mark, number, kind, await self._reader.readexactly(size))
        except (OSError, asyncio.IncompleteReadError):
            pass  # it died in the middle of a message
        finally:
            self.close()

    def close(self) -> None:
        """End it; who waits for an answer gets `LinkClosed`. What is being handled is handled to its end."""
        self.closed = True
        self._writer.close()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(LinkClosed("the process at the other end has gone"))

    def _receive(self, mark: _Mark, number: int, kind: str, payload: bytes) -> None:
        if mark in {"ask", "tell"}:
            handling = self._loop.create_task(self._handle(mark, number, kind, payload))
            self._handling.add(handling)
            handling.add_done_callback(self._handling.discard)
        elif (answer := self._asked.get(number)) and not answer.done():
            if mark == "answer":
                answer.set_result(payload)
            else:
                answer.set_exception(Refused(payload.decode()))

    async def _handle(self, mark: _Mark, number: int, kind: str, payload: bytes) -> None:
        async with self._turns[kind]:
            try:
                if kind not in self._handlers:
                    raise LookupError(f"nobody handles '{kind}'")
                result = await self._handlers[kind](payload)
            except Exception as error:
                log.error("message_failed", kind=kind, exc_info=error)
                if mark == "ask":
                    self._send("failure", number, kind, str(error).encode())
            else:
                if mark == "ask":
                    self._send("answer", number, kind, result)

    def _send(self, mark: _Mark, number: int, kind: str, payload: bytes) -> None:
        if self.closed:
            return
        self._writer.write(orjson.dumps([mark, number, kind, len(payload)]) + b"\n")
        self._writer.write(payload)
