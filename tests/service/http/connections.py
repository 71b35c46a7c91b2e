"""Connections to an application without a network, and the bytes that clients send on them."""

import asyncio
import json
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from service.http.predictions import Application

PATH = "/v2/models/tiny/infer"


class Transport(asyncio.Transport):
    """A connection without a network."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 8000), "peername": ("127.0.0.1", 50_000)})
        self.written = b""
        self.closed = False
        self.ended = False
        self.unsent = 0
        self.asked = asyncio.Event()
        self.over = asyncio.Event()
        self.wrote = asyncio.Event()

    def write(self, data: Any) -> None:
        assert not self.closed
        assert not self.ended
        self.written += data
        self.wrote.set()

    def close(self) -> None:
        self.closed = True
        self.over.set()

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True
        self.over.set()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """The client may go on sending; nothing more is written to it."""
        self.ended = True
        self.over.set()

    def get_write_buffer_size(self) -> int:
        self.asked.set()
        return self.unsent

    def pause_reading(self) -> None:
        """Bytes that are on their way already arrive all the same."""

    def resume_reading(self) -> None:
        """See above."""


@dataclass
class Connection:
    """One connection to an application."""

    app: Application
    kind: type[HttpToolsProtocol]
    transport: Transport = field(default_factory=Transport)
    state: ServerState = field(default_factory=ServerState)
    timeout_keep_alive: int = 5

    def __post_init__(self) -> None:
        config = uvicorn.Config(
            self.app,
            http=self.kind,
            log_config=None,
            access_log=False,
            ws="none",
            timeout_keep_alive=self.timeout_keep_alive,
        )
        config.load()
        self.state.default_headers = [(b"date", b"today")]
        self.protocol = self.kind(config, self.state, {}, asyncio.get_running_loop())
        self.protocol.connection_made(self.transport)

    async def send(self, *segments: bytes) -> None:
        """Deliver bytes while the connection is open, each segment when the one before has been dealt with."""
        for segment in segments:
            if not self.transport.closed:
                self.protocol.data_received(segment)
            await self.settle()

    async def settle(self) -> None:
        """Until everything waits for more bytes, or is done."""
        written = -1
        while self.is_answering() or len(self.transport.written) > written:
            written = len(self.transport.written)
            for _ in range(5):
                await asyncio.sleep(0)

    def is_answering(self) -> bool:
        """Whether a task has all that it waits for from the client."""
        waits = self.transport.closed or self.protocol.flow.write_paused
        return not waits and bool(self.state.tasks) and self.protocol.cycle.more_body is False

    async def lose(self) -> None:
        """The client goes away."""
        self.transport.closed = True
        self.protocol.connection_lost(None)
        if self.state.tasks:
            await asyncio.wait(self.state.tasks)


def cut(data: bytes, places: list[float]) -> list[bytes]:
    """The segments between these fractions of the data."""
    at = [0, *sorted(round(place * len(data)) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(at) if start < end]


def http(body: bytes = b"", method: str = "POST", path: str = PATH, version: str = "1.1", **headers: str) -> bytes:
    given = {"Host": "x", "Content-Length": str(len(body)), "X-Request-ID": "mine"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {path} HTTP/{version}", *(f"{name}: {value}" for name, value in given.items() if value), "", ""]
    return "\r\n".join(lines).encode() + body


def in_json(body: Any, **headers: str) -> bytes:
    return http(json.dumps(body).encode(), **headers)


def chunked(body: bytes, *sizes: int) -> bytes:
    chunks, start = [], 0
    for size in (*sizes, len(body)):
        if part := body[start : start + size]:
            chunks.append(b"%x\r\n%b\r\n" % (len(part), part))
        start += size
    return http(Content_Length="", Transfer_Encoding="chunked") + b"".join(chunks) + b"0\r\n\r\n"
