"""Requests that are answered at once get the answers that uvicorn and ASGI give them, however their bytes arrive."""

import asyncio
import gzip
import json
import re
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import numpy as np
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from models.errors import InferenceFailed
from models.runtime.engine import Engine
from service.app import create_app
from service.http.incoming import LARGE_SEGMENT_BYTES
from service.http.predictions import Application
from service.http.protocol import Protocol
from service.settings import Settings
from service.telemetry.logs import add_ids
from service.telemetry.requests import MAX_ERROR_LENGTH
from tests.service.conftest import fill
from tests.service.http.connections import PATH, Connection, chunked, cut, http, in_json
from tests.service.routes.test_infer import BAD_BINARY, BAD_REQUESTS, ROWS, binary_request, request

LIMIT = 1 << 20


BODY = json.dumps(request()).encode()
BINARY, BINARY_HEADERS = binary_request(ROWS, binary_data_output=True)
MANY = request(np.zeros((200, 4)).tolist(), shape=[200, 4])

GOOD = {
    "plain": http(BODY),
    "flat": in_json(request(ROWS.reshape(-1).tolist())),
    "other numbers": in_json(request((ROWS + 1).tolist())),
    "id": in_json({"id": "42", **request()}),
    "compact": http(json.dumps(request(), separators=(",", ":")).encode()),
    "binary": http(BINARY, **BINARY_HEADERS),
    "raw": http(ROWS.tobytes(), Inference_Header_Content_Length="0"),
    "classification": in_json(
        {**request(), "outputs": [{"name": "logits", "parameters": {"classification": 1, "binary_data": True}}]}
    ),
    "version": http(BODY, path="/v2/models/tiny/versions/1/infer"),
    "escaped": http(BODY, path="/v2/models/t%69ny/infer"),
    "chunked": chunked(BODY, 1, 20),
    "gzip in": http(gzip.compress(BODY), Content_Encoding="gzip"),
    "gzip out": in_json(MANY, Accept_Encoding="gzip"),
    "keep-alive": http(BODY, Connection="keep-alive"),
    "no rows": in_json(request([], shape=[0, 4])),
    "another route": http(b'{"instances": [[1, 2, 3, 4]]}', path="/v1/models/tiny:predict"),
    "health": http(method="GET", path="/v2/health/live"),
    "health with an id": http(method="GET", path="/v2/health/live", X_Request_ID="mine"),
    "health with a body": http(BODY, method="GET", path="/v2/health/live"),
    "health escaped": http(method="GET", path="/v2/health/l%69ve"),
    "readiness": http(method="GET", path="/v2/health/ready"),
    "readiness without a body": http(method="HEAD", path="/v2/health/ready"),
}
BAD = {
    "unknown query": http(BODY, path=f"{PATH}?x=1"),
    "head": http(method="HEAD", path="/v2/health/live"),
    "health with a query": http(method="GET", path="/v2/health/live?x=1"),
    "health by POST": http(path="/v2/health/live"),
    **{f"json, {name}": in_json(body) for name, (body, _) in BAD_REQUESTS.items()},
    **{f"binary, {name}": http(body, **headers) for name, ((body, headers), _) in BAD_BINARY.items()},
    "no body": http(),
    "not JSON": http(b"[" * 1000),
    "NaN": http(BODY.replace(b"]", b", NaN]", 1)),
    "unknown model": http(BODY, path="/v2/models/nobody/infer"),
    "unknown version": http(BODY, path="/v2/models/tiny/versions/7/infer"),
    "version is a word": http(BODY, path="/v2/models/tiny/versions/latest/infer"),
    "long path": http(BODY, path=f"/v2/models/{'x' * 300}/infer"),
    "another method": http(BODY, method="PUT"),
    "broken gzip": http(BODY, Content_Encoding="gzip"),
    "another encoding": http(BODY, Content_Encoding="br"),
}
HALF = GOOD["plain"][:-20]
LAST = {
    "1.0": http(BODY, version="1.0"),
    "1.0 keep-alive": http(BODY, version="1.0", Connection="keep-alive"),
    "close": http(BODY, Connection="close"),
    "health, close": http(method="GET", path="/v2/health/live", Connection="close"),
    "health, close, with a body": http(BODY, method="GET", path="/v2/health/ready", Connection="close"),
    "health, 1.0": http(method="GET", path="/v2/health/live", version="1.0"),
}
"""Nothing can follow these on a connection."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    yield from started(tmp_path_factory, inline_ms=1000)


@pytest.fixture(scope="module")
def slow_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """No run is so short that it would be done at once."""
    yield from started(tmp_path_factory, inline_ms=0)


def started(tmp_path_factory: pytest.TempPathFactory, **changes: Any) -> Iterator[Application]:
    repository = fill(tmp_path_factory.mktemp("repository")).root
    app = create_app(Settings(repository=repository, max_body_mib=1, log_format="console", **changes))
    with TestClient(app):
        yield app


def answers(app: Application, kind: type[HttpToolsProtocol], segments: list[bytes]) -> tuple[bytes, bool, int]:
    """What is written, whether the connection is closed then, and how many requests were counted."""

    async def talk() -> tuple[bytes, bool, int]:
        connection = Connection(app, kind)
        await connection.send(*segments)
        written = re.sub(rb"(?<=x-request-id: )[0-9a-f]{16}", b"new", connection.transport.written)
        seen = written, connection.transport.closed or connection.transport.ended, connection.state.total_requests
        await connection.lose()
        return seen

    with structlog.testing.capture_logs():
        return asyncio.run(talk())


def events(
    app: Application, kind: type[HttpToolsProtocol], talk: Callable[[Connection], Coroutine[Any, Any, None]]
) -> Any:
    """The lines of the log, without times."""

    async def whole() -> None:
        connection = Connection(app, kind)
        await talk(connection)
        await connection.lose()

    with structlog.testing.capture_logs([add_ids]) as logged:
        asyncio.run(whole())
    return [{name: value for name, value in event.items() if name != "milliseconds"} for event in logged]


ALL = {**GOOD, **BAD, **LAST}


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("sent", ALL.values(), ids=ALL.keys())
def test_answers_are_the_same(app: Application, slow_app: Application, sent: bytes, slow: bool) -> None:
    asked = slow_app if slow else app
    for segments in ([sent], [sent], cut(sent, [0.5]), cut(sent, [i / 50 for i in range(50)])):
        assert answers(asked, Protocol, segments) == answers(asked, HttpToolsProtocol, segments)


def test_good_requests_are_answered_well(app: Application) -> None:
    for sent in GOOD.values():
        assert answers(app, Protocol, [sent])[0].startswith(b"HTTP/1.1 200 OK\r\ndate: today\r\n")


@pytest.mark.parametrize("name", ["plain", "flat", "binary", "raw", "version", "chunked", "keep-alive"])
def test_plain_requests_need_no_task(app: Application, name: str) -> None:
    async def ask() -> None:
        connection = Connection(app, Protocol)
        await connection.send(GOOD[name])
        assert connection.protocol.cycle is None
        assert not connection.state.tasks
        assert connection.transport.written

    asyncio.run(ask())


def test_plain_requests_stay_plain_while_their_rows_are_collected(tmp_path_factory: pytest.TempPathFactory) -> None:
    repository = fill(tmp_path_factory.mktemp("repository")).root
    app = create_app(Settings(repository=repository, log_format="console", inline_ms=1000))
    with TestClient(app, "http://127.0.0.1:8000") as client:
        job = client.post("/v2/models/tiny/recalibrations", json={"collect": 64}).json()

        async def ask() -> None:
            connection = Connection(app, Protocol)
            await connection.send(GOOD["plain"])
            assert connection.transport.written.startswith(b"HTTP/1.1 200 OK")
            assert not connection.state.tasks, "the request was left to ASGI"

        asyncio.run(ask())
        found = client.get(f"/v2/models/tiny/recalibrations/{job['id']}").json()

    assert (found["state"], found["seen"]) == ("collecting", len(ROWS))


@given(
    names=st.lists(st.sampled_from([*GOOD, *BAD]), min_size=1, max_size=6),
    last=st.none() | st.sampled_from(list(LAST)),
    places=st.lists(st.floats(0, 1), max_size=8),
)
def test_requests_in_line_are_answered_in_order(
    app: Application, names: list[str], last: str | None, places: list[float]
) -> None:
    segments = [*cut(b"".join(ALL[name] for name in names), places), LAST[last] if last else b""]

    assert answers(app, Protocol, segments) == answers(app, HttpToolsProtocol, segments)


@given(names=st.lists(st.sampled_from(list(ALL)), min_size=2, max_size=6))
def test_requests_after_each_other_are_answered_the_same(app: Application, names: list[str]) -> None:
    segments = [ALL[name] for name in names]

    assert answers(app, Protocol, segments) == answers(app, HttpToolsProtocol, segments)


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("head", ["plain", "binary", "gzip out", "version", "unknown model", "another encoding"])
def test_a_head_that_comes_again_with_other_bodies_is_answered_the_same(
    app: Application, slow_app: Application, head: str, slow: bool
) -> None:
    lines = ALL[head].partition(b"\r\n\r\n")[0].split(b"\r\n")
    start = b"\r\n".join(line for line in lines if not line.startswith(b"Content-Length"))
    bodies = [BODY, BODY, BINARY, b"", BODY.replace(b"1", b"1.25"), json.dumps(MANY).encode(), BODY]
    segments = [b"%b\r\nContent-Length: %d\r\n\r\n%b" % (start, len(body), body) for body in bodies]
    asked = slow_app if slow else app

    assert answers(asked, Protocol, segments) == answers(asked, HttpToolsProtocol, segments)


def test_a_head_that_comes_again_is_not_parsed_again(app: Application) -> None:
    class Unused:
        def feed_data(self, _: object) -> None:
            raise AssertionError

    async def ask() -> None:
        connection = Connection(app, Protocol)
        await connection.send(GOOD["plain"])
        connection.protocol.parser = Unused()  # type: ignore[assignment]
        await connection.send(http(BODY + b" "), GOOD["plain"])
        assert statuses(connection) == [b"200"] * 3
        with pytest.raises(AssertionError):
            await connection.send(GOOD["version"])

    asyncio.run(ask())


@pytest.mark.parametrize("is_known", [False, True])
@given(junk=st.binary(max_size=60), place=st.floats(0, 1), name=st.sampled_from(["plain", "chunked", "binary"]))
def test_damaged_requests_are_answered_the_same_or_refused(
    app: Application, junk: bytes, place: float, name: str, is_known: bool
) -> None:
    at = round(place * len(GOOD[name]))
    damaged = GOOD[name][:at] + junk + GOOD[name][at + len(junk) :]
    segments = [GOOD[name], damaged] if is_known else [damaged]

    ours, theirs = answers(app, Protocol, segments), answers(app, HttpToolsProtocol, segments)

    if ours != theirs:  # what is not HTTP/1.1 is refused in the format of every error
        refusal = rb'HTTP/1.1 4(00|14|31) [^\n]*\r\n.*connection: close\r\n(.*\r\n)?\r\n{"error":"[^"]+"}$'
        assert re.search(refusal, ours[0], re.DOTALL), ours[0]
        assert ours[1]


@pytest.mark.parametrize("path", [PATH, "/v2/models/nobody/infer"])
@pytest.mark.parametrize("name", ["plain", "flat", "binary", "json, wrong width", "json, ragged"])
def test_lines_and_counts_are_the_same(app: Application, name: str, path: str) -> None:
    sent = ALL[name].replace(PATH.encode(), path.encode()).replace(b"X-Request-ID: mine", b"X-Request-ID: \xff")

    async def talk(connection: Connection) -> None:
        await connection.send(sent)

    lines = [events(app, kind, talk) for kind in (Protocol, HttpToolsProtocol)]
    for (line,) in lines:
        assert re.fullmatch("[0-9a-f]{16}", line.pop("request_id"))

    assert lines[0] == lines[1]
    assert lines[0][0]["path"] == path


def test_requests_are_counted_under_their_route(tmp_path_factory: pytest.TempPathFactory) -> None:
    for app in started(tmp_path_factory, inline_ms=1000):
        for sent in (GOOD["plain"], GOOD["version"], BAD["json, wrong width"]):
            answers(app, Protocol, [sent])
        metrics = answers(app, Protocol, [http(method="GET", path="/metrics")])[0].decode()

    route = r'denge_http_requests_total\{method="POST",route="/v2/models/\{model\}'
    assert re.search(route + r'/infer",status="200"\} 1.0', metrics)
    assert re.search(route + r'/infer",status="400"\} 1.0', metrics)
    assert re.search(route + r'/versions/\{version\}/infer",status="200"\} 1.0', metrics)
    assert 'denge_inferences_total{model="tiny",outcome="success",version="1"} 2.0' in metrics


ANSWERED = ("unknown query", "head", "health")
"""Beginnings of names in `BAD`: of what is answered, has no body or is not logged."""

REFUSED = {name: sent for name, sent in BAD.items() if not name.startswith(ANSWERED)} | {
    "no Host": b"GET /v2 HTTP/1.1\r\n\r\n",
    "too large": http(path=PATH, Content_Length=str(2 << 20)),
}


@pytest.mark.parametrize("sent", REFUSED.values(), ids=REFUSED.keys())
def test_what_a_refused_client_is_told_is_in_the_log(app: Application, sent: bytes) -> None:
    async def talk(connection: Connection) -> None:
        await connection.send(sent)
        told.append(json.loads(connection.transport.written.partition(b"\r\n\r\n")[2])["error"])

    told: list[str] = []
    (line,) = events(app, Protocol, talk)

    assert line["status"] >= 400
    assert line["error"] == told[0][:MAX_ERROR_LENGTH]


def test_nothing_is_wrong_in_the_log_of_a_request_that_was_answered(app: Application) -> None:
    async def talk(connection: Connection) -> None:
        await connection.send(http(BODY), http(path="/v2", method="GET"))

    lines = events(app, Protocol, talk)

    assert [line["status"] for line in lines] == [200, 200]
    assert all("error" not in line for line in lines)


@pytest.mark.parametrize("error", [InferenceFailed("secret"), RuntimeError("secret")])
def test_defects_are_answered_and_logged_the_same(
    app: Application, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(Engine, "run", broken)

    async def talk(connection: Connection) -> None:
        await connection.send(GOOD["plain"], GOOD["plain"])

    assert answers(app, Protocol, [GOOD["plain"]]) == answers(app, HttpToolsProtocol, [GOOD["plain"]])
    logged = events(app, Protocol, talk)
    assert logged == events(app, HttpToolsProtocol, talk)
    first = "internal_error" if isinstance(error, InferenceFailed) else "unexpected_error"
    assert [event["event"] for event in logged] == [first, "request"] * 2
    assert {event["request_id"] for event in logged} == {"mine"}


class TestBodiesThatDoNotEnd:
    @staticmethod
    def half(connection: Connection) -> Coroutine[Any, Any, None]:
        return connection.send(GOOD["plain"][:-20])

    def test_a_client_that_goes_away_is_logged_the_same(self, app: Application) -> None:
        lines = events(app, Protocol, self.half)

        assert lines == events(app, HttpToolsProtocol, self.half)
        assert [line["status"] for line in lines] == [400]

    def test_what_has_begun_is_answered_when_the_service_stops(self, app: Application) -> None:
        async def stop() -> None:
            connection = Connection(app, Protocol)
            await self.half(connection)
            connection.protocol.shutdown()
            assert not connection.transport.closed
            await connection.send(GOOD["plain"][-20:])
            assert connection.transport.written.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"\r\nconnection: close\r\n" in connection.transport.written
            assert connection.transport.closed

        asyncio.run(stop())

    def test_an_idle_connection_is_closed_when_the_service_stops(self, app: Application) -> None:
        async def stop() -> None:
            connection = Connection(app, Protocol)
            await connection.send(GOOD["plain"])
            assert not connection.transport.closed
            connection.protocol.shutdown()
            assert connection.transport.closed

        asyncio.run(stop())


def test_a_client_that_does_not_read_gets_no_more_answers(app: Application) -> None:
    async def ask() -> None:
        connection = Connection(app, Protocol)
        await connection.send(GOOD["plain"])
        one = len(connection.transport.written)
        connection.protocol.pause_writing()
        await connection.send(GOOD["plain"], GOOD["plain"])
        assert len(connection.transport.written) == one
        connection.protocol.resume_writing()
        await connection.settle()
        assert len(connection.transport.written) == 3 * one

    asyncio.run(ask())


def test_a_connection_that_stays_idle_is_closed(app: Application) -> None:
    async def wait() -> None:
        connection = Connection(app, Protocol, timeout_keep_alive=0)
        await connection.send(GOOD["plain"])
        await connection.transport.over.wait()
        assert statuses(connection) == [b"200"]

    asyncio.run(asyncio.wait_for(wait(), 30))


@pytest.mark.parametrize("comes", [True, False])
def test_a_request_that_comes_before_the_turn_of_the_timeout_is_answered(app: Application, comes: bool) -> None:
    waiting: asyncio.Queue[Callable[[], None]] = asyncio.Queue()

    async def wait() -> None:
        connection = Connection(app, Protocol, timeout_keep_alive=0)
        connection.protocol.data_received(GOOD["plain"])
        waiting.get_nowait()()
        time_out = await waiting.get()
        if comes:
            connection.protocol.data_received(GOOD["plain"])
        time_out()
        if comes:
            waiting.get_nowait()()
        await connection.settle()
        assert statuses(connection) == [b"200"] * (1 + comes)
        assert connection.transport.closed != comes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app.turns, "run", waiting.put_nowait)
        asyncio.run(asyncio.wait_for(wait(), 30))


@pytest.mark.parametrize("size", [1000, LARGE_SEGMENT_BYTES])
def test_a_large_segment_is_parsed_after_what_comes_in_the_same_iteration(app: Application, size: int) -> None:
    async def ask() -> None:
        large, small = [Connection(app, Protocol) for _ in range(2)]
        large.protocol.data_received(GOOD["health"] + b"\r\n" * 10 + b"x" * size)
        assert bool(large.transport.written) is (size < LARGE_SEGMENT_BYTES)
        small.protocol.data_received(GOOD["health"])
        assert statuses(small) == [b"200"]
        await large.settle()
        assert statuses(large)[0] == b"200"

    asyncio.run(ask())


async def talk_at_once(app: Application, *sent: bytes) -> list[Connection]:
    """Connections on which these bytes have come in one iteration of the event loop."""
    connections = [Connection(app, Protocol) for _ in sent]
    for connection, data in zip(connections, sent, strict=True):
        connection.protocol.data_received(data)
    return connections


def statuses(connection: Connection) -> list[bytes]:
    return re.findall(rb"HTTP/1.1 (\d+)", connection.transport.written)


def test_predictions_that_come_together_share_a_run(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever their dialects. One that is wrong, or whose client has left, disturbs no other."""
    runs: list[int] = []
    run = Engine.run
    monkeypatch.setattr(Engine, "run", lambda *args: runs.append(len(args[1]["input"])) or run(*args))
    v1 = in_json({"instances": ROWS.tolist()}).replace(PATH.encode(), b"/v1/models/tiny:predict")
    sent = [GOOD["plain"], BAD["json, wrong width"], GOOD["raw"], GOOD["plain"], v1, GOOD["binary"]]

    async def ask() -> list[Connection]:
        connections = await talk_at_once(app, *sent)
        await connections[3].lose()
        assert not any(connection.transport.written for connection in connections)
        await connections[0].settle()
        return connections

    with structlog.testing.capture_logs() as logged:
        connections = asyncio.run(ask())

    assert [statuses(connection) for connection in connections] == [
        [b"200"],
        [b"400"],
        [b"200"],
        [],
        [b"200"],
        [b"200"],
    ]
    assert runs == [4 * len(ROWS)]
    assert sorted(event["status"] for event in logged) == [200, 200, 200, 200, 400, 400]
    assert app.bodies.used == 0
    monkeypatch.undo()
    alone = [answers(app, HttpToolsProtocol, [each])[0] for each in sent]
    for place in (0, 1, 2, 4, 5):
        assert connections[place].transport.written == alone[place]


def test_a_request_in_line_is_not_parsed_before_the_one_before_it_is_answered(app: Application) -> None:
    """So that a client that sends very many at once keeps nobody else waiting."""

    async def ask() -> None:
        many, one = await talk_at_once(app, GOOD["plain"] * 100 + HALF, GOOD["plain"])
        await one.transport.wrote.wait()
        assert len(statuses(many)) <= 1
        await many.settle()
        assert statuses(many) == [b"200"] * 100
        await many.send(GOOD["plain"][len(HALF) :])
        assert statuses(many) == [b"200"] * 101

    asyncio.run(ask())


def test_a_body_of_empty_lines_in_chunks_keeps_nobody_waiting(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.http.turns.SECONDS", 1e-9)
    flood = chunked(b"\r\n\r\n" * 5000)

    async def ask() -> None:
        many, one = await talk_at_once(app, flood, GOOD["plain"])
        await one.transport.wrote.wait()
        assert statuses(many) == []
        await many.transport.wrote.wait()
        assert statuses(many) == [b"400"], "it is no JSON"

    asyncio.run(ask())


def test_empty_lines_before_a_request_are_no_requests(app: Application) -> None:
    async def ask() -> None:
        (connection,) = await talk_at_once(app, b"\r\n" * 5000 + GOOD["plain"])
        await connection.settle()
        assert statuses(connection) == [b"200"]

    asyncio.run(ask())


def test_what_was_sent_before_the_end_is_answered(app: Application) -> None:
    async def ask() -> None:
        (connection,) = await talk_at_once(app, GOOD["plain"] * 3)
        assert connection.protocol.eof_received()
        await connection.settle()
        assert statuses(connection) == [b"200"] * 3
        assert connection.transport.closed

    asyncio.run(ask())


def test_predictions_need_a_key_where_keys_are_set(tmp_path_factory: pytest.TempPathFactory) -> None:
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text("k" * 32)
    for app in started(tmp_path_factory, inline_ms=1000, api_keys_file=keys):
        for sent in (GOOD["plain"], in_json(request(), Authorization="Bearer " + "k" * 32)):
            assert answers(app, Protocol, [sent]) == answers(app, HttpToolsProtocol, [sent])
        assert answers(app, Protocol, [GOOD["plain"]])[0].startswith(b"HTTP/1.1 401 ")
