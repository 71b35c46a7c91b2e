"""Messages are signed, tried again within reason, and never in the way."""

import asyncio
import base64
import hmac
import json
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from service.watching.alarms.webhook import MAX_QUEUED, RETRY_DELAYS, Webhook, post_to
from tests.awaiting import within_time
from tests.service.watching.doubles import ALARM

KEY = b"0123456789abcdef"
URL = "https://alarms.example/denge"


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(within_time(scenario, "the messages are not dealt with"))


class Receiver:
    """Answers with these, in order, and with 204 from then on. An exception stands for no answer."""

    def __init__(self, *answers: int | Exception) -> None:
        self._answers = list(answers)
        self.got: list[tuple[bytes, Mapping[str, str]]] = []
        self.delays: list[float] = []
        self.clock = 1000

    @asynccontextmanager
    async def connect(self, url: str) -> AsyncIterator["Receiver"]:
        assert url == URL
        yield self

    async def __call__(self, body: bytes, headers: Mapping[str, str]) -> int:
        self.got.append((body, headers))
        answer = self._answers.pop(0) if self._answers else 204
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def sleep(self, seconds: float) -> None:
        self.delays.append(seconds)
        self.clock += int(seconds)

    def webhook(self) -> Webhook:
        return Webhook(URL, KEY, self.connect, self.sleep, lambda: self.clock)

    def after(self, messages: int = 1) -> Counter[str]:
        """What becomes of so many messages."""
        webhook = self.webhook()

        async def scenario() -> None:
            async with webhook.sending():
                for _ in range(messages):
                    await asyncio.to_thread(webhook.publish, ALARM)

        run(scenario())
        return webhook.deliveries


def test_a_message_is_signed_as_the_standard_says() -> None:
    receiver = Receiver()
    assert receiver.after() == {"delivered": 1}

    ((body, headers),) = receiver.got
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(KEY, signed, sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["webhook-timestamp"] == "1000"
    assert json.loads(body) == {
        "type": "drift",
        "timestamp": "2026-01-02T00:00:00+00:00",
        "data": ALARM.model_dump(mode="json"),
    }
    changed = base64.b64encode(hmac.new(KEY, signed + b" ", sha256).digest()).decode()
    assert headers["webhook-signature"] != f"v1,{changed}"


@pytest.mark.parametrize("answer", [500, 503, 429, 408, ConnectionError("refused"), TimeoutError()])
def test_what_may_pass_is_tried_again_under_the_same_id(answer: int | Exception) -> None:
    receiver = Receiver(answer, answer)

    assert receiver.after() == {"delivered": 1}
    assert receiver.delays == list(RETRY_DELAYS[:2])
    assert len({headers["webhook-id"] for _, headers in receiver.got}) == 1
    assert len({headers["webhook-signature"] for _, headers in receiver.got}) == 3


@pytest.mark.parametrize("answer", [301, 302, 307, 400, 401, 404, 410])
def test_what_will_not_pass_is_not_tried_again(answer: int) -> None:
    receiver = Receiver(answer)

    assert receiver.after() == {"failed": 1}
    assert len(receiver.got) == 1


def test_it_gives_up_and_goes_on_with_the_next() -> None:
    attempts = len(RETRY_DELAYS) + 1
    receiver = Receiver(*[500] * attempts)

    assert receiver.after(2) == {"delivered": 1, "failed": 1}
    assert receiver.delays == list(RETRY_DELAYS)
    assert len(receiver.got) == attempts + 1


def test_what_is_too_much_is_dropped() -> None:
    receiver = Receiver()
    webhook = receiver.webhook()

    async def scenario() -> None:
        async with webhook.sending():
            for _ in range(MAX_QUEUED + 3):
                webhook.publish(ALARM)

    run(scenario())
    assert webhook.deliveries == {"delivered": MAX_QUEUED, "dropped": 3}


def test_without_an_address_nothing_is_sent() -> None:
    webhook = Webhook(None, b"")

    async def scenario() -> None:
        async with webhook.sending():
            webhook.publish(ALARM)

    run(scenario())
    assert webhook.deliveries == {}


@contextmanager
def listening(status: int, **headers: str) -> Iterator[tuple[str, list[tuple[str, dict[str, str], bytes]]]]:
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append((self.path, dict(self.headers), body))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook", got
        server.shutdown()


def test_it_posts_and_follows_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # nobody is there
    with listening(302, Location="/elsewhere") as (url, got):

        async def scenario() -> None:
            async with post_to(url) as post:
                assert await post(b"{}", {"webhook-id": "msg_1"}) == 302

        run(scenario())

    ((path, headers, body),) = got
    assert (path, headers["webhook-id"], body) == ("/hook", "msg_1", b"{}")
