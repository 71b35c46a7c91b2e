"""Requests passed on over a unix socket, to a real server that says what it has seen."""

import asyncio
import gc
from ast import literal_eval
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httptools
import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.forward import Forward

END = {"type": "http.request", "body": b"", "more_body": False}


class Call:
    """One request to a forwarding application, message by message."""

    def __init__(self, app: ASGIApp, method: str = "POST", path: str = "/", **headers: str) -> None:
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.outgoing: asyncio.Queue[Message] = asyncio.Queue()
        target, _, query = path.partition("?")
        scope: Scope = {
            "type": "http",
            "method": method,
            "path": target,
            "raw_path": target.encode(),
            "query_string": query.encode(),
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        }
        self.done = asyncio.create_task(app(scope, self.incoming.get, self.outgoing.put))  # type: ignore[arg-type]

    def say(self, body: bytes, *, more: bool) -> None:
        self.incoming.put_nowait({"type": "http.request", "body": body, "more_body": more})

    async def answer(self) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """All of it."""
        await self.done
        start = self.outgoing.get_nowait()
        parts = [self.outgoing.get_nowait() for _ in range(self.outgoing.qsize())]
        assert [part.get("more_body", False) for part in parts] == [True] * (len(parts) - 1) + [False]
        return start["status"], start["headers"], b"".join(part["body"] for part in parts)


async def unreachable(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("try again", 503)(scope, receive, send)


@asynccontextmanager
async def forwarding(folder: Path, app: ASGIApp) -> AsyncIterator[Forward]:
    """Something that forwards to this application in a server of its own."""
    path = folder / "control.sock"
    config = uvicorn.Config(app, uds=str(path), lifespan="off", log_config=None, http="httptools", date_header=False)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield Forward(path, unreachable)
    finally:
        server.force_exit = True
        await server.shutdown()


def scenario(tmp_path: Path, app: ASGIApp, test: Callable[[Forward], Awaitable[None]]) -> None:
    async def play() -> None:
        async with asyncio.timeout(60), forwarding(tmp_path, app) as forward:
            await test(forward)

    asyncio.run(play())


async def describe(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what has arrived."""
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            break
    seen: dict[str, Any] = {
        "method": scope["method"],
        "target": scope["raw_path"].decode() + "?" + scope["query_string"].decode(),
        "headers": sorted(scope["headers"]),
        "body": body,
    }
    headers = [(b"x-twice", b"1"), (b"x-twice", b"2"), (b"content-length", b"%d" % len(repr(seen)))]
    await send({"type": "http.response.start", "status": 418, "headers": headers})
    await send({"type": "http.response.body", "body": repr(seen).encode()})


@pytest.mark.parametrize("framing", [{"content_length": "6"}, {"transfer_encoding": "chunked"}])
def test_a_request_and_its_answer_pass_as_they_came(tmp_path: Path, framing: dict[str, str]) -> None:
    async def test(forward: Forward) -> None:
        call = Call(forward, "PUT", "/a%20b/%C3%A9?x=1&x=2", x_request_id="mine", connection="close", **framing)
        call.say(b"abc", more=True)
        call.say(b"", more=True)
        call.say(b"def", more=False)

        status, headers, body = await call.answer()
        seen = literal_eval(body.decode())
        assert status == 418
        assert [value for name, value in headers if name == b"x-twice"] == [b"1", b"2"]
        assert seen["method"] == "PUT"
        assert seen["target"] == "/a%20b/%C3%A9?x=1&x=2"
        assert seen["body"] == b"abcdef"
        assert (b"x-request-id", b"mine") in seen["headers"]
        assert b"connection" not in dict(seen["headers"])

    scenario(tmp_path, describe, test)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_a_request_without_a_body(tmp_path: Path, method: str) -> None:
    async def test(forward: Forward) -> None:
        call = Call(forward, method, "/x")
        call.incoming.put_nowait(END)

        status, headers, body = await call.answer()
        assert status == 418
        assert int(dict(headers)[b"content-length"]) > 0
        assert bool(body) == (method != "HEAD")

    scenario(tmp_path, describe, test)


def test_both_ways_stream_at_once(tmp_path: Path) -> None:
    async def repeat(_scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            await send({"type": "http.response.body", "body": message["body"], "more_body": more})

    async def test(forward: Forward) -> None:
        call = Call(forward, transfer_encoding="chunked")
        for part in (b"one", b"two" * 100_000, b"three"):
            call.say(part, more=True)  # the next one is not sent before this one has come back
            back = b""
            while len(back) < len(part):
                back += (await call.outgoing.get()).get("body", b"")
            assert back == part
        call.say(b"", more=False)
        await call.done

    scenario(tmp_path, repeat, test)


def test_an_answer_before_the_end_of_the_body_is_passed_on(tmp_path: Path) -> None:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await PlainTextResponse("too large", 413, {"connection": "close"})(scope, receive, send)

    async def test(forward: Forward) -> None:
        call = Call(forward, content_length=str(1 << 30))
        for _ in range(200):
            call.say(bytes(1 << 20), more=True)

        status, headers, body = await call.answer()
        assert (status, body) == (413, b"too large")
        assert (b"connection", b"close") in headers

    scenario(tmp_path, refuse, test)


def test_the_server_learns_that_the_caller_has_gone(tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def wait(_scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"event", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    async def test(forward: Forward) -> None:
        call = Call(forward, "GET")
        call.incoming.put_nowait(END)
        assert (await call.outgoing.get())["status"] == 200
        assert (await call.outgoing.get())["body"] == b"event"
        call.incoming.put_nowait({"type": "http.disconnect"})
        await gone.wait()
        await call.done
        assert call.outgoing.empty()

    scenario(tmp_path, wait, test)


def test_an_answer_is_freed_without_the_garbage_collector(tmp_path: Path) -> None:
    """In a service that lives for weeks, the collector seldom looks at what has survived it twice."""

    def parsers() -> int:
        # Not by isinstance, which asks objects for their class: torch has some that warn then.
        return sum(issubclass(type(each), httptools.HttpResponseParser) for each in gc.get_objects())

    async def test(forward: Forward) -> None:
        for _ in range(3):
            call = Call(forward, "GET")
            call.incoming.put_nowait(END)
            assert (await call.answer())[0] == 418
        assert parsers() == 0

    gc.collect()
    gc.disable()
    try:
        scenario(tmp_path, describe, test)
        kept = httptools.HttpResponseParser(object())
        assert parsers() == 1, kept
    finally:
        gc.enable()


def test_without_a_server_it_says_so(tmp_path: Path) -> None:
    async def test() -> None:
        call = Call(Forward(tmp_path / "nobody", unreachable), "GET")
        assert (await call.answer())[0] == 503

    asyncio.run(test())


@pytest.mark.parametrize("begun", [False, True])
def test_an_answer_that_breaks_off_is_replaced_only_where_none_of_it_was_sent(tmp_path: Path, begun: bool) -> None:
    async def break_off(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if begun:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc")
        writer.close()

    async def test() -> None:
        async with asyncio.timeout(60), await asyncio.start_unix_server(break_off, tmp_path / "control.sock"):
            call = Call(Forward(tmp_path / "control.sock", unreachable), "GET")
            call.incoming.put_nowait(END)
            await call.done
            messages = [call.outgoing.get_nowait() for _ in range(call.outgoing.qsize())]
            assert messages[0]["status"] == (200 if begun else 503)
            assert messages[-1].get("more_body", False) == begun

    asyncio.run(test())
