"""Tells one address of alarms that begin or end.

Messages are signed as the Standard Webhooks say (https://www.standardwebhooks.com): HMAC-SHA256 over the message's id,
its time and its body, so that there are libraries in most languages that verify them. They wait in a bounded queue, are
sent one at a time, and a failed one again a few times, after ever longer pauses. No redirect is followed, no proxy of
the environment used, and of an answer no more than its status is read: the address comes from the settings alone.
"""

import asyncio
import base64
import hmac
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from time import time

import orjson
import structlog

from service.watching.alarm import Alarm

log = structlog.get_logger()

MOST_WAITING = 64
PAUSES = (1.0, 5.0, 30.0, 120.0)
"""Seconds before each further attempt."""

_SECONDS = 10.0
"""For one attempt."""
_SECONDS_TO_END = 2.0
"""For what waits when the service stops."""
_WORTH_TRYING_AGAIN = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}

Post = Callable[[bytes, Mapping[str, str]], Awaitable[int]]
"""Sends a body with headers, and returns the status of the answer. Raises whatever it likes where there is none."""


@dataclass
class Deliveries:
    """What has become of the messages."""

    delivered: int = 0
    failed: int = 0
    dropped: int = 0
    """Since too many were waiting."""


class Webhook:
    """Sends messages.

    Args:
        url: where to; None sends none.
        key: what they are signed with.
        connect: makes what sends to an address.
        pause: waits for so many seconds.
        clock: seconds since 1970.

    Attributes:
        deliveries: what has become of the messages.
    """

    def __init__(
        self,
        url: str | None,
        key: bytes,
        connect: Callable[[str], Post] | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time,
    ) -> None:
        self._url = url
        self._key = key
        self._connect = connect or poster
        self._pause = pause
        self._clock = clock
        self._waiting: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(MOST_WAITING)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.deliveries = Deliveries()

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Send until the end of the block, and then what still waits, if that does not take long."""
        if self._url is None:
            yield
            return
        self._loop = asyncio.get_running_loop()
        task = self._loop.create_task(self._send_all(self._connect(self._url)))
        try:
            yield
            await asyncio.sleep(0)  # what threads have told may not be in the queue yet
            with suppress(TimeoutError):
                async with asyncio.timeout(_SECONDS_TO_END):
                    await self._waiting.join()
        finally:
            task.cancel()
            await asyncio.wait([task])

    def tell(self, alarm: Alarm) -> None:
        """An alarm begins or ends. From any thread."""
        if self._loop is not None:
            body = orjson.dumps({"type": "drift", "timestamp": alarm.time, "data": alarm.model_dump(mode="json")})
            with suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(self._put, f"msg_{secrets.token_hex(12)}", body)

    def _put(self, identity: str, body: bytes) -> None:
        try:
            self._waiting.put_nowait((identity, body))
        except asyncio.QueueFull:
            self.deliveries.dropped += 1

    async def _send_all(self, post: Post) -> None:
        while True:
            identity, body = await self._waiting.get()
            if await self._send(post, identity, body):
                self.deliveries.delivered += 1
            else:
                self.deliveries.failed += 1
            self._waiting.task_done()

    async def _send(self, post: Post, identity: str, body: bytes) -> bool:
        """Whether it was delivered, after as many attempts as it takes, within reason."""
        reason = ""
        for pause in (*PAUSES, None):
            try:
                async with asyncio.timeout(_SECONDS):
                    status = await post(body, headers(self._key, identity, int(self._clock()), body))
            except Exception as error:  # noqa: BLE001 - whatever keeps it from being delivered
                reason = f"{type(error).__name__}: {error}"
            else:
                if 200 <= status < 300:
                    return True
                reason = f"answered {status}"
                if status < 500 and status not in _WORTH_TRYING_AGAIN:
                    break
            if pause is not None:
                await self._pause(pause)
        log.warning("webhook_failed", id=identity, reason=reason)
        return False


def headers(key: bytes, identity: str, seconds: int, body: bytes) -> dict[str, str]:
    """Of a message: who it is from shows only with the secret.

    Args:
        key: shared with the receiver.
        identity: of the message, the same at every attempt.
        seconds: since 1970, of this attempt.
        body: what is sent.
    """
    signature = hmac.digest(key, b"%s.%d.%s" % (identity.encode(), seconds, body), "sha256")
    return {
        "Content-Type": "application/json",
        "User-Agent": "denge",
        "webhook-id": identity,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }


def poster(url: str) -> Post:
    """Sends to an address."""
    import httpx2  # noqa: PLC0415 - several MiB that a service without a webhook does without

    client = httpx2.AsyncClient(timeout=_SECONDS, follow_redirects=False, trust_env=False)

    async def post(body: bytes, headers: Mapping[str, str]) -> int:
        async with client.stream("POST", url, content=body, headers=dict(headers)) as answer:
            return answer.status_code

    return post
