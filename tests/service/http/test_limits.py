"""What is refused before an application sees it, how, and that other requests are not disturbed."""

import asyncio
import gc
import itertools
import json
import tracemalloc
import weakref
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

import pytest
import structlog
from starlette.testclient import TestClient

from models.errors import InvalidInput, Overloaded
from service.app import create_app
from service.host.memory_budget import Reservation
from service.http import connection as connection_module
from service.http.bodies import FREE_PIECES, MEAN_PIECE_BYTES, CollectedBody
from service.http.heads import MAX_HEAD_BYTES, MAX_HEADER_BYTES, MAX_HEADERS, MAX_URL_BYTES
from service.http.predictions import Application
from service.http.protocol import Protocol
from service.http.refusals import MAX_SKIPPED_BYTES
from service.inference.handler import Handler
from service.settings import Settings
from tests.awaiting import within_time
from tests.service.conftest import fill
from tests.service.http.connections import PATH, Connection, chunked, http, in_json
from tests.service.routes.test_infer import request

LIMIT = 1 << 20
PLAIN = in_json(request())
BODY = json.dumps(request()).encode()
BY_ASGI = PATH.replace("tiny", "t%69ny")
"""The same prediction, with an escape."""
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: x\r\n".encode()
HEALTH = http(method="GET", path="/v2/health/live")
METADATA = http(method="GET", path="/v2")
HOPELESS = http(BODY, path="/v2/models/nobody/infer")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with started(tmp_path_factory) as found:
        yield found


class started:  # noqa: N801 - a context manager
    """A started application."""

    def __init__(self, tmp_path_factory: pytest.TempPathFactory, **changes: Any) -> None:
        repository = fill(tmp_path_factory.mktemp("repository")).root
        settings = {"max_body_mib": 1, "inline_ms": 1000, **changes}
        self.app = create_app(Settings(repository=repository, log_format="console", **settings))
        self.client = TestClient(self.app)

    def __enter__(self) -> Application:
        self.client.__enter__()
        return self.app

    def __exit__(self, *_: object) -> None:
        self.client.__exit__()


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with started(tmp_path_factory, head_seconds=0.01, body_seconds=0.01, write_seconds=0.01) as found:
        yield found


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with started(tmp_path_factory, max_bodies_mib=2) as found:
        yield found


def talk(app: Application, conversation: Callable[[Connection], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        connection = Connection(app, Protocol)
        await conversation(connection)
        await connection.lose()

    with structlog.testing.capture_logs():
        asyncio.run(whole())


def statuses(connection: Connection) -> list[int]:
    return [int(part[:3]) for part in connection.transport.written.split(b"HTTP/1.1 ")[1:] if part[:3].isdigit()]


def last_error(connection: Connection) -> str:
    return json.loads(connection.transport.written.rpartition(b"\r\n\r\n")[2])["error"]


def answer(app: Application, *segments: bytes) -> tuple[list[int], str, bool]:
    """The statuses, the last error, and whether nothing more is answered."""
    found = []

    async def conversation(connection: Connection) -> None:
        await connection.send(*segments)
        ended = connection.transport.ended or connection.transport.closed
        found.append((statuses(connection), last_error(connection), ended))

    talk(app, conversation)
    return found[0]


PIECE = 1 << 13
TOO_MUCH = {
    "URL": (414, [b"GET /" + b"a" * MAX_URL_BYTES]),
    "URL in pieces": (414, [b"GET /", *[b"a" * PIECE] * 3]),
    "header": (431, [HEAD + b"x: " + b"a" * MAX_HEADER_BYTES + b"\r\n\r\n"]),
    "header without end": (431, [HEAD + b"x: ", *[b"a" * PIECE] * 6]),
    "name without end": (431, [HEAD, *[b"a" * PIECE] * 6]),
    "number": (431, [HEAD + b"".join(b"x-%d: y\r\n" % i for i in range(MAX_HEADERS + 1))]),
    "all together": (431, [HEAD + b"".join(b"x-%d: %b\r\n" % (i, b"a" * 1000) for i in range(40)) + b"\r\n"]),
    "empty lines": (431, [b"\r\n" * 1000] * 17),
    "trailers": (431, [chunked(BODY)[:-2], *[b"x: y\r\n" * 1000] * 6]),
    "trailers at once": (431, [chunked(BODY)[:-2] + b"x: y\r\n" * (MAX_HEADERS + 1)]),
    "trailer without end": (431, [chunked(BODY)[:-2] + b"x: ", *[b"a" * PIECE] * 6]),
    "chunk extension": (431, [http(Content_Length="", Transfer_Encoding="chunked") + b"5;", *[b"a" * PIECE] * 6]),
    "said length": (413, [http(b"x", Content_Length=str(LIMIT + 1))]),
    "length": (413, [http(Content_Length="", Transfer_Encoding="chunked"), b"100001\r\n", b" " * (LIMIT + 1)]),
    "said length, another route": (413, [http(b"x", path="/v2/repository/index", Content_Length=str(LIMIT + 1))]),
}


@pytest.mark.parametrize(("status", "segments"), TOO_MUCH.values(), ids=TOO_MUCH.keys())
def test_what_is_too_large_is_refused_and_nothing_more_is_read(
    app: Application, status: int, segments: list[bytes]
) -> None:
    async def conversation(connection: Connection) -> None:
        await connection.send(PLAIN, *segments)
        assert statuses(connection) == [200, status]
        assert last_error(connection)
        assert b"\r\nconnection: close\r\n" in connection.transport.written
        assert connection.transport.ended
        written = connection.transport.written
        await connection.send(b"a" * PIECE, b"\r\n\r\n", PLAIN)
        assert connection.transport.written == written
        assert app.bodies.used == 0

    talk(app, conversation)


def test_what_is_just_small_enough_is_answered(app: Application) -> None:
    lines = b"".join(b"x-%d: %b\r\n" % (i, b"a" * 300) for i in range(MAX_HEADERS - 2))
    assert len(lines) < MAX_HEAD_BYTES
    large = HEAD + b"Content-Length: %d\r\n" % len(BODY) + lines + b"\r\n" + BODY
    long_url = http(method="GET", path="/" + "a" * (MAX_URL_BYTES - 1))
    one_by_one = chunked(BODY, *[1] * len(BODY))

    async def conversation(connection: Connection) -> None:
        await connection.send(large, long_url, *[one_by_one[at : at + 7] for at in range(0, len(one_by_one), 7)])
        assert statuses(connection) == [200, 404, 200]

    talk(app, conversation)


INVALID = {
    "no host": (400, HEAD.replace(b"Host: x\r\n", b"") + b"\r\n", "Host: missing"),
    "no HTTP": (400, b"POST /v2/models/tiny/infer\r\n\r\n", "not valid"),
    "no header": (400, HEAD + b"no header\r\n\r\n", "not valid"),
    "bad chunk": (
        400,
        http(Content_Length="", Transfer_Encoding="chunked") + b"5\r\nhello\r\nx\r\n",
        "not valid",
    ),
    "length and chunks": (400, http(BODY, Transfer_Encoding="chunked"), "not valid"),
    "HTTP/2": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "is HTTP/2: this port takes HTTP/1.1"),
    "almost HTTP/2": (400, b"PRJ * HTTP/2.0\r\n\r\nSM\r\n\r\n", "not valid"),
    "compressed before it is cut": (
        501,
        http(Content_Length="", Transfer_Encoding="gzip, chunked"),
        "Transfer-Encoding",
    ),
    "compressed and cut": (
        501,
        http(Content_Length="", Transfer_Encoding="deflate,gzip ,\tChunked "),
        "Content-Encoding",
    ),
    "compressed, of unknown length": (400, http(Content_Length="", Transfer_Encoding="gzip"), "not valid"),
    "cut before it is compressed": (400, http(Content_Length="", Transfer_Encoding="chunked, gzip"), "not valid"),
    "cut twice": (400, http(Content_Length="", Transfer_Encoding="chunked, chunked"), "not valid"),
    "websocket": (400, http(method="GET", Connection="Upgrade", Upgrade="websocket"), "websocket"),
    "tunnel": (501, b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", "CONNECT"),
}


@pytest.mark.parametrize(("status", "sent", "words"), INVALID.values(), ids=INVALID.keys())
def test_what_is_invalid_is_refused_in_the_format_of_every_error(
    app: Application, status: int, sent: bytes, words: str
) -> None:
    found, error, ended = answer(app, sent)

    assert (found, ended) == ([status], True)
    assert words in error


def test_http_1_0_needs_no_host(app: Application) -> None:
    async def conversation(connection: Connection) -> None:
        await connection.send(b"GET /v2/health/live HTTP/1.0\r\n\r\n")
        assert statuses(connection) == [200]

    talk(app, conversation)


def test_a_connection_that_ends_reads_on_so_that_the_client_can_read_the_response(app: Application) -> None:
    """A client that waits until its chunks are taken would wait for ever, and the connection with it."""

    async def conversation(connection: Connection) -> None:
        piece = b"40000\r\n" + b"x" * (1 << 18) + b"\r\n"
        await connection.send(http(Content_Length="", Transfer_Encoding="chunked"), *[piece] * 5)
        await within_time(connection.transport.over.wait(), "the connection was not ended")
        assert connection.transport.ended
        assert not connection.protocol.flow.read_paused
        await connection.send(*[piece] * 2)
        assert not connection.protocol.flow.read_paused
        assert statuses(connection) == [413]

    talk(app, conversation)


ONCE = {
    "Authorization": ("Bearer " + "a" * 20, "Bearer " + "b" * 20),
    "Content-Encoding": ("gzip", "gzip"),
    "Content-Length": (str(len(BODY)), str(len(BODY))),
    "Content-Type": ("application/json", "application/octet-stream"),
    "Host": ("127.0.0.1", "example.com"),
    "Inference-Header-Content-Length": ("10", "20"),
    "Origin": ("http://127.0.0.1", "http://example.com"),
    "Transfer-Encoding": ("chunked", "chunked"),
}


@pytest.mark.parametrize("path", [PATH, BY_ASGI, "/v2/repository/models/tiny/load"])
@pytest.mark.parametrize("name", ONCE)
def test_a_header_that_decides_something_comes_once(app: Application, name: str, path: str) -> None:
    """On both ways in: a plain prediction, and ASGI."""
    lines = [f"POST {path} HTTP/1.1"]
    lines += ["Host: x"] if name != "Host" else []
    lines += [f"Content-Length: {len(BODY)}"] if name not in {"Content-Length", "Transfer-Encoding"} else []
    lines += [f"{name}: {value}" for value in ONCE[name]]

    found, error, ended = answer(app, "\r\n".join((*lines, "", "")).encode() + BODY)

    assert (found, ended) == ([400], True)
    assert error in (f"{name}: sent more than once", "the request is not valid HTTP/1.1")


def test_chunks_alone_may_be_written_in_any_case(app: Application) -> None:
    async def conversation(connection: Connection) -> None:
        await connection.send(chunked(BODY).replace(b"chunked", b" Chunked "))
        assert statuses(connection) == [200]

    talk(app, conversation)


def test_other_headers_may_come_several_times(app: Application) -> None:
    twice = PLAIN.replace(
        b"\r\n\r\n", b"\r\nAccept: a\r\nAccept: b\r\nX-Forwarded-For: c\r\nX-Forwarded-For: d\r\n\r\n"
    )

    async def conversation(connection: Connection) -> None:
        await connection.send(twice)
        assert statuses(connection) == [200]

    talk(app, conversation)


def test_a_trailer_is_no_header(app: Application) -> None:
    async def conversation(connection: Connection) -> None:
        trailed = chunked(BODY)[:-2] + b"Content-Encoding: br\r\n\r\n"
        await connection.send(trailed, trailed.replace(b"/tiny/", b"/t%69ny/"))
        assert statuses(connection) == [200, 200]

    talk(app, conversation)


UPGRADE = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__"}
UPGRADING = in_json(request(), **UPGRADE)
UPGRADING_CHUNKS = chunked(BODY, 10).replace(b"Host: x", b"Host: x\r\nConnection: Upgrade\r\nUpgrade: h2c")


class TestUpgrades:
    """As Java's client asks for HTTP/2: ignored, and the body is kept."""

    @pytest.mark.parametrize(
        "segments",
        [
            [UPGRADING],
            UPGRADING.partition(b"\r\n\r\n"),
            [UPGRADING[at : at + 1] for at in range(len(UPGRADING))],
            [UPGRADING_CHUNKS],
            [UPGRADING_CHUNKS[at : at + 10] for at in range(0, len(UPGRADING_CHUNKS), 10)],
            [UPGRADING.replace(b"/tiny/", b"/t%69ny/")],
        ],
        ids=["at once", "head and body", "by bytes", "chunks", "chunks in pieces", "ASGI"],
    )
    def test_the_body_is_kept(self, app: Application, segments: list[bytes]) -> None:
        async def conversation(connection: Connection) -> None:
            await connection.send(*segments, PLAIN)
            assert statuses(connection) == [200, 200]

        talk(app, conversation)

    def test_requests_in_line_are_answered(self, app: Application) -> None:
        async def conversation(connection: Connection) -> None:
            await connection.send(UPGRADING + PLAIN + UPGRADING_CHUNKS + http(method="GET", path="/v2", **UPGRADE))
            assert statuses(connection) == [200] * 4

        talk(app, conversation)

    def test_very_many_in_line_are_answered(self, app: Application) -> None:
        async def conversation(connection: Connection) -> None:
            await connection.send(UPGRADING * 2000)
            assert statuses(connection) == [200] * 2000

        talk(app, conversation)


class TestRefusedFromTheHead:
    def test_a_small_body_is_skipped(self, app: Application) -> None:
        async def conversation(connection: Connection) -> None:
            head, _, body = HOPELESS.partition(b"\r\n\r\n")
            await connection.send(head + b"\r\n\r\n" + body[:5])
            assert statuses(connection) == [404]
            await connection.send(body[5:] + PLAIN)
            assert statuses(connection) == [404, 200]

        talk(app, conversation)

    @pytest.mark.parametrize(
        "sent",
        [
            http(b" " * 9, path="/v2/models/nobody/infer", Content_Length=str(MAX_SKIPPED_BYTES + 1)),
            chunked(BODY).replace(b"/tiny/", b"/nobody/")[:-5],
            http(path="/v2/models/nobody/infer", Content_Length="9", Expect="100-continue"),
        ],
        ids=["large", "chunks", "waits to continue"],
    )
    def test_another_body_ends_the_connection(self, app: Application, sent: bytes) -> None:
        found, error, ended = answer(app, sent)

        assert (found, ended) == ([404], True)
        assert "nobody" in error

    def test_without_a_body_the_connection_goes_on(self, app: Application) -> None:
        async def conversation(connection: Connection) -> None:
            await connection.send(http(path="/v2/models/nobody/infer", Content_Length=""), PLAIN)
            assert statuses(connection) == [404, 200]

        talk(app, conversation)

    def test_overload_is_told_before_the_body(self, app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
        def overloaded(*_: object) -> None:
            raise Overloaded("the queue is full")

        monkeypatch.setattr(Handler, "admit", overloaded)

        async def conversation(connection: Connection) -> None:
            await connection.send(PLAIN.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
            assert statuses(connection) == [503]
            assert b"\r\nretry-after: " in connection.transport.written.lower()

        talk(app, conversation)


class TestTimeLimits:
    @staticmethod
    async def ended(connection: Connection) -> None:
        await within_time(connection.transport.over.wait(), "the connection was not ended")

    def test_a_silent_connection_is_closed(self, hasty: Application) -> None:
        async def conversation(connection: Connection) -> None:
            await self.ended(connection)
            assert not connection.transport.written

        talk(hasty, conversation)

    @pytest.mark.parametrize(
        ("sent", "part"),
        [
            (HEAD, "head"),
            (PLAIN[:-9], "body"),
            (http(b" ", path="/v2/repository/models/tiny/load", Content_Length="2"), "body"),
            (http(b" ", path="/v2/models/tiny/rollout/canary", method="PUT", Content_Length="2"), "body"),
            (chunked(BODY)[:-9], "body"),
        ],
        ids=["head", "prediction", "admin", "typed", "chunks"],
    )
    def test_what_comes_too_slowly_is_refused(self, hasty: Application, sent: bytes, part: str) -> None:
        async def conversation(connection: Connection) -> None:
            await connection.send(sent)
            await self.ended(connection)
            assert statuses(connection) == [408]
            assert last_error(connection) == f"{part}: did not arrive within 0.01 seconds"
            assert hasty.bodies.used == 0

        talk(hasty, conversation)

    def test_the_rest_of_a_refused_body_has_as_long(self, hasty: Application) -> None:
        async def conversation(connection: Connection) -> None:
            await connection.send(HOPELESS[:-9])
            await self.ended(connection)
            assert statuses(connection) == [404]

        talk(hasty, conversation)

    def test_an_idle_connection_has_longer(self, hasty: Application) -> None:
        async def conversation(connection: Connection) -> None:
            await connection.send(PLAIN)
            silent = Connection(hasty, Protocol)
            await self.ended(silent)
            await connection.send(PLAIN)
            assert statuses(connection) == [200, 200]

        talk(hasty, conversation)

    def test_a_client_that_does_not_read_is_disconnected(self, hasty: Application) -> None:
        async def conversation(connection: Connection) -> None:
            connection.transport.unsent = 100_000
            await connection.send(PLAIN)
            connection.protocol.pause_writing()
            await self.ended(connection)

        talk(hasty, conversation)

    def test_a_client_that_reads_slowly_is_not(self, hasty: Application) -> None:
        async def conversation(connection: Connection) -> None:
            connection.transport.unsent = 10 << 20
            await connection.send(PLAIN)
            connection.protocol.pause_writing()
            for _ in range(5):
                connection.transport.unsent -= 1 << 20
                connection.transport.asked.clear()
                await within_time(connection.transport.asked.wait(), "nobody looked at what was taken")
            assert not connection.transport.closed
            connection.protocol.resume_writing()

        talk(hasty, conversation)


class TestMemoryOfBodies:
    SHARE = LIMIT
    """Half of what `roomy` has for all bodies."""

    @staticmethod
    def upload(path: str = PATH, size: int = LIMIT * 3 // 4) -> bytes:
        return http(b"{", path=path, Content_Length=str(size))

    @pytest.mark.parametrize("path", [PATH, "/v2/repository/index"])
    def test_a_client_that_holds_its_share_is_refused_at_once(self, roomy: Application, path: str) -> None:
        async def conversation(first: Connection) -> None:
            second = Connection(roomy, Protocol)
            await first.send(self.upload(path))
            await second.send(self.upload(path))
            assert not first.transport.written
            assert statuses(second) == [503]
            assert b"\r\nretry-after: " in second.transport.written.lower()
            await second.lose()

        talk(roomy, conversation)
        assert roomy.bodies.used == 0

    def test_a_body_of_unknown_length_is_refused_when_it_is_too_much(self, roomy: Application) -> None:
        async def conversation(first: Connection) -> None:
            second = Connection(roomy, Protocol)
            await first.send(self.upload())
            await second.send(http(Content_Length="", Transfer_Encoding="chunked") + b"80000\r\n", b"{" * 200_000)
            assert not second.transport.written
            await second.send(b"{" * 200_000)
            assert statuses(second) == [503]
            await second.lose()

        talk(roomy, conversation)
        assert roomy.bodies.used == 0

    def test_small_requests_and_health_are_answered_when_all_is_held(self, roomy: Application) -> None:
        async def conversation(connection: Connection) -> None:
            held = {str(client): Reservation(roomy.bodies) for client in range(40)}
            for _ in range(LIMIT):
                grew = [part.grow(client, part.size + (1 << 14)) for client, part in held.items()]
                if not any(grew):
                    break
            await connection.send(HEALTH, PLAIN)
            assert statuses(connection) == [200, 200]
            for part in held.values():
                part.release()

        talk(roomy, conversation)

    def test_memory_is_released_when_requests_are_answered(self, roomy: Application) -> None:
        segments = in_json(request(), path=BY_ASGI), in_json({"keep": 5}, path="/v2/repository/index")

        async def conversation(connection: Connection) -> None:
            for sent in (*segments, PLAIN):
                await connection.send(sent[:-3])
                assert roomy.bodies.used > 0
                await connection.send(sent[-3:])
                assert roomy.bodies.used == 0

        talk(roomy, conversation)

    @pytest.mark.parametrize("seconds", [1e-9, 1e9])
    def test_clients_that_disconnect_together_are_released_in_turn(
        self, roomy: Application, monkeypatch: pytest.MonkeyPatch, seconds: float
    ) -> None:
        """Large bodies take milliseconds of the event loop each: one after the other, where there is no more time."""
        monkeypatch.setattr("service.http.turns.SECONDS", seconds)
        number = 5

        async def conversation(_: Connection) -> None:
            clients = [Connection(roomy, Protocol) for _ in range(number)]
            for client in clients:
                await client.send(self.upload(size=LIMIT // 10))
            held = [roomy.bodies.used]
            for client in clients:
                client.protocol.connection_lost(None)
            while held[-1]:
                held.append(roomy.bodies.used)
                await asyncio.sleep(0)
            steps = [before - after for before, after in itertools.pairwise(held)]
            assert max(steps) == (held[0] // number if seconds < 1 else held[0])

        talk(roomy, conversation)

    def test_memory_of_requests_in_line_is_released_when_the_client_disconnects(self, roomy: Application) -> None:
        async def conversation(connection: Connection) -> None:
            connection.protocol.data_received(in_json(request(), path=BY_ASGI) * 5)
            assert roomy.bodies.used > 0

        talk(roomy, conversation)
        assert roomy.bodies.used == 0

    def test_small_pieces_cost_no_more_than_their_bytes(self) -> None:
        body = CollectedBody(LIMIT * 4)
        tracemalloc.start()
        for _ in range(50_000):
            body.add(b"%064d" % 12345)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert body.take() == (b"%064d" % 12345) * 50_000
        assert peak < 2 * 64 * 50_000

    def test_a_body_of_tiny_pieces_is_refused(self) -> None:
        body = CollectedBody(LIMIT)
        add = partial(body.add, b"1")
        for _ in range(FREE_PIECES + FREE_PIECES // MEAN_PIECE_BYTES):
            add()
        with pytest.raises(InvalidInput, match="too many small chunks"):
            deque(iter(add, object()), maxlen=0)  # until it raises


def test_a_half_closed_connection_gets_its_response(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "PROBE_SECONDS", 3600.0)  # however busy the machine is
    with started(tmp_path_factory, inline_ms=0) as app:

        async def conversation(connection: Connection) -> None:
            for sent in (PLAIN, METADATA):
                client = Connection(app, Protocol)
                client.protocol.data_received(sent)
                assert not client.transport.written
                assert client.protocol.eof_received()
                await client.settle()
                assert statuses(client) == [200]
                assert client.transport.closed
            assert connection.protocol.eof_received()
            assert connection.transport.closed  # nothing is waited for

        talk(app, conversation)


def test_a_client_that_closed_both_directions_is_found_out(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By interim responses, while the request waits: the system answers the second one with a reset."""
    monkeypatch.setattr(connection_module, "PROBE_SECONDS", 0.0)
    answered = asyncio.Event()

    async def waits(*_: object) -> None:
        await within_time(answered.wait(), "the client was not asked for")

    monkeypatch.setattr(Handler, "run", waits)
    monkeypatch.setattr(Handler, "answer", waits)
    with started(tmp_path_factory, inline_ms=0) as app:

        async def conversation(client: Connection) -> None:
            client.protocol.data_received(PLAIN)
            assert client.protocol.eof_received()
            for _ in range(3):
                client.transport.wrote.clear()
                await within_time(client.transport.wrote.wait(), "the client was not asked for")
            assert set(statuses(client)) == {100}
            answered.set()

        talk(app, conversation)


def test_a_refusal_waits_for_the_responses_before_it(app: Application) -> None:
    async def conversation(connection: Connection) -> None:
        await connection.send(HEALTH + b"nonsense\r\n\r\n")
        assert statuses(connection) == [200, 400]
        assert connection.transport.ended

    talk(app, conversation)


def test_a_connection_that_is_lost_waits_for_no_garbage_collection(app: Application) -> None:
    """Thousands that did would stop the event loop for tens of milliseconds."""

    async def whole() -> None:
        connection = Connection(app, Protocol)
        await connection.send(HEALTH, PLAIN, HEAD)
        protocol = weakref.ref(connection.protocol)
        await connection.lose()
        del connection
        assert protocol() is None

    gc.disable()
    try:
        asyncio.run(whole())
    finally:
        gc.enable()
