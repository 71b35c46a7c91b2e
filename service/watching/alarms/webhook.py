"""Sends alarms to one address, signed as Standard Webhooks specifies (https://www.standardwebhooks.com).

Messages wait in a bounded queue and are sent one at a time. A failed one is retried a few times, after growing delays.
No redirect is followed, no proxy from the environment is used, and only the status of a response is read: the address
comes from the settings alone.
"""

import asyncio
import base64
import hmac
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from http import HTTPStatus
from time import time
from typing import TYPE_CHECKING

import orjson
import structlog

from service.telemetry.statistics import Delivery

if TYPE_CHECKING:
    from service.watching.alarms.alarm import Alarm  # slow to import

log = structlog.get_logger()

MAX_QUEUED = 64
RETRY_DELAYS = (1.0, 5.0, 30.0, 120.0)
"""Seconds before each further attempt."""

_ATTEMPT_TIMEOUT = 10.0
_CLOSE_TIMEOUT = 2.0
"""For messages that are queued when the service stops."""
_RETRIED_STATUS = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
"""Besides those of server errors."""

Post = Callable[[bytes, Mapping[str, str]], Awaitable[int]]
"""Sends a body with headers, and returns the status of the response. Raises any exception if there is none."""


class Webhook:
    """Sends messages to an address.

    Args:
        url: the address; None sends none.
        key: HMAC key that signs them.
        connect: yields what posts to an address, as long as the block lasts.
        sleep: waits for some seconds.
        clock: seconds since 1970.

    Attributes:
        deliveries: messages by outcome.
    """

    def __init__(
        self,
        url: str | None,
        key: bytes,
        connect: Callable[[str], AbstractAsyncContextManager[Post]] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time,
    ) -> None:
        self._url = url
        self._key = key
        self._connect = connect or post_to
        self._sleep = sleep
        self._clock = clock
        self._queue: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(MAX_QUEUED)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._post: Post
        self.deliveries: Counter[Delivery] = Counter()

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Send until the end of the block, and then for a moment what is still queued."""
        if self._url is None:
            yield
            return
        self._loop = asyncio.get_running_loop()
        async with self._connect(self._url) as self._post:
            task = self._loop.create_task(self._send_all())
            try:
                yield
                await asyncio.sleep(0)  # what other threads have published may not be in the queue yet
                with suppress(TimeoutError):
                    async with asyncio.timeout(_CLOSE_TIMEOUT):
                        await self._queue.join()
            finally:
                task.cancel()
                await asyncio.wait([task])

    def publish(self, alarm: "Alarm") -> None:
        """Send an alarm that begins or ends. From any thread."""
        if self._loop is not None:
            body = _body(alarm)
            with suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(self._enqueue, f"msg_{secrets.token_hex(12)}", body)

    async def deliver(self, alarm: "Alarm", identity: str) -> None:
        """Send an alarm that begins or ends. Returns when it was delivered, or has failed for the last time.

        Args:
            alarm: that begins or ends.
            identity: of the message. A receiver that gets one twice drops the second.
        """
        if self._loop is not None:
            await self._count(identity, _body(alarm))

    def _enqueue(self, identity: str, body: bytes) -> None:
        try:
            self._queue.put_nowait((identity, body))
        except asyncio.QueueFull:
            self.deliveries["dropped"] += 1

    async def _send_all(self) -> None:
        while True:
            await self._count(*await self._queue.get())
            self._queue.task_done()

    async def _count(self, identity: str, body: bytes) -> None:
        if await self._send(identity, body):
            self.deliveries["delivered"] += 1
        else:
            self.deliveries["failed"] += 1

    async def _send(self, identity: str, body: bytes) -> bool:
        """Attempt to deliver a message, and retry. Returns whether it was delivered."""
        reason = ""
        for delay in (*RETRY_DELAYS, None):
            try:
                async with asyncio.timeout(_ATTEMPT_TIMEOUT):
                    status = await self._post(body, signed_headers(self._key, identity, int(self._clock()), body))
            except Exception as error:  # noqa: BLE001 - any failure to get a response is retried
                reason = f"{type(error).__name__}: {error}"
            else:
                if 200 <= status < 300:
                    return True
                reason = f"status {status}"
                if status < 500 and status not in _RETRIED_STATUS:
                    break
            if delay is not None:
                await self._sleep(delay)
        log.warning("webhook_failed", id=identity, reason=reason)
        return False


def _body(alarm: "Alarm") -> bytes:
    return orjson.dumps({"type": "drift", "timestamp": alarm.time, "data": alarm.model_dump(mode="json")})


def signed_headers(key: bytes, identity: str, seconds: int, body: bytes) -> dict[str, str]:
    """Returns the headers of a message, with the signature that proves who sent it.

    Args:
        key: shared with the receiver.
        identity: of the message, the same at every attempt.
        seconds: time of this attempt, since 1970.
        body: of the message.
    """
    signature = hmac.digest(key, b"%s.%d.%s" % (identity.encode(), seconds, body), "sha256")
    return {
        "Content-Type": "application/json",
        "User-Agent": "denge",
        "webhook-id": identity,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }


@asynccontextmanager
async def post_to(url: str) -> AsyncIterator[Post]:
    """Yields what posts to an address, as long as the block lasts."""
    import httpx2  # noqa: PLC0415 - several MiB that a service without a webhook does not need

    async with httpx2.AsyncClient(timeout=_ATTEMPT_TIMEOUT, follow_redirects=False, trust_env=False) as client:

        async def post(body: bytes, headers: Mapping[str, str]) -> int:
            async with client.stream("POST", url, content=body, headers=dict(headers)) as response:
                return response.status_code

        yield post
