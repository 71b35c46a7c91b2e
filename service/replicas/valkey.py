"""The store of replicas on several machines: Valkey or Redis, which come with the extra `redis`.

A sorted set has the names of all keys, so that those of a prefix are found without a scan of the whole database.
Scripts keep it and the values together: the server runs each as one step.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import RedisError

from service.replicas.store import Revision, StoreUnavailable

Result = TypeVar("Result")

ANSWER_SECONDS = 2.0
"""How long the server may take to connect, and to answer."""

_ATTEMPTS = 1
"""Further attempts of a command whose connection has ended, since the server may have restarted."""
_PAUSE_SECONDS = 0.05
_LISTEN_SECONDS = 1.0
"""How long to wait for a message before the connection is checked."""
_SCHEMES = {"valkey": "redis", "valkeys": "rediss"}
"""Of URLs, and what the client calls them."""

_PREFIX = "denge"
_VALUE, _LEASE, _KEYS = f"{_PREFIX}:value:", f"{_PREFIX}:lease:", f"{_PREFIX}:keys"

# KEYS: value, index. ARGV: key, value, milliseconds or 0, and in the second script the expected digest.
_SET = """
redis.call('ZADD', KEYS[2], 0, ARGV[1])
if ARGV[3] == '0' then redis.call('SET', KEYS[1], ARGV[2]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
"""
_COMPARE_AND_SET = f"""
local current = redis.call('GET', KEYS[1])
if current ~= ARGV[2] and (current and redis.sha1hex(current) or '') ~= ARGV[4] then return 0 end
{_SET}"""

# KEYS: index. ARGV: least and greatest name, beginning of the keys of values.
_GET_MANY = """
local found = {}
for _, name in ipairs(redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], ARGV[2])) do
    local value = redis.call('GET', ARGV[3] .. name)
    if value then
        found[#found + 1] = name
        found[#found + 1] = value
    else
        redis.call('ZREM', KEYS[1], name)
    end
end
return found
"""

# KEYS: lease. ARGV: holder, milliseconds.
_ACQUIRE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class ValkeyStore:
    """An implementation of `service.replicas.store.Store`.

    Args:
        url: of the server: redis://, rediss:// (TLS), valkey://, valkeys:// (TLS) or unix://, with a database's number
            as its path.
        password: of the server; None where it asks for none.

    Raises:
        ValueError: the URL is not one of these.
    """

    is_shared = True

    def __init__(self, url: str, password: str | None = None) -> None:
        parts = urlsplit(url)
        self._client: Redis = Redis.from_url(
            parts._replace(scheme=_SCHEMES.get(parts.scheme, parts.scheme)).geturl(),
            password=password,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            health_check_interval=_LISTEN_SECONDS,
            retry=Retry(ConstantBackoff(_PAUSE_SECONDS), _ATTEMPTS),
        )
        database = self._client.connection_pool.connection_kwargs.get("db", 0)
        self.name = f"Valkey at {parts.netloc.rpartition('@')[2] or parts.path}, database {database}"
        # Channels are shared by all databases of a server.
        self._channels = f"{_PREFIX}:{database}:"
        self._set = self._client.register_script(_SET)
        self._compare_and_set = self._client.register_script(_COMPARE_AND_SET)
        self._get_many = self._client.register_script(_GET_MANY)
        self._acquire = self._client.register_script(_ACQUIRE)
        self._release = self._client.register_script(_RELEASE)

    async def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """Set a value."""
        await self._answer(self._set([_VALUE + key, _KEYS], [key, value, _milliseconds(ttl)]))

    async def get(self, key: str) -> bytes | None:
        """Returns a value; None if there is none."""
        value: bytes | None = await self._answer(self._client.get(_VALUE + key))
        return value

    async def get_many(self, prefix: str) -> dict[str, bytes]:
        """Returns the values of all keys that begin with the prefix, by key, sorted."""
        least = prefix.encode()
        found = await self._answer(self._get_many([_KEYS], [b"[" + least, b"(" + least + b"\xff", _VALUE]))
        return {name.decode(): value for name, value in zip(found[::2], found[1::2], strict=True)}

    async def delete(self, key: str) -> None:
        """Delete a value, if it exists. Its name goes when it is looked for."""
        await self._answer(self._client.delete(_VALUE + key))

    async def compare_and_set(self, key: str, revision: Revision, value: bytes, ttl: float | None = None) -> bool:
        """Set a value unless it has changed. Returns whether the value is now the new one."""
        setting = self._compare_and_set([_VALUE + key, _KEYS], [key, value, _milliseconds(ttl), revision])
        return bool(await self._answer(setting))

    async def lease(self, name: str, holder: str, ttl: float) -> bool:
        """Acquire a lease, or renew it. Returns whether the holder has it."""
        return bool(await self._answer(self._acquire([_LEASE + name], [holder, _milliseconds(ttl)])))

    async def release(self, name: str, holder: str) -> None:
        """End a lease, if the holder has it."""
        await self._answer(self._release([_LEASE + name], [holder]))

    async def publish(self, channel: str, message: bytes) -> None:
        """Send a message to all who subscribe to the channel now."""
        await self._answer(self._client.publish(self._channels + channel, message))

    @asynccontextmanager
    async def subscribe(self, channel: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yields the messages of a channel that are published within the block."""
        async with self._client.pubsub() as pubsub:
            await self._answer(pubsub.subscribe(self._channels + channel))
            await self._answer(pubsub.get_message(timeout=ANSWER_SECONDS))  # the server's confirmation

            async def messages() -> AsyncIterator[bytes]:
                while True:
                    listening = pubsub.get_message(ignore_subscribe_messages=True, timeout=_LISTEN_SECONDS)
                    if (message := await self._answer(listening)) is not None:
                        yield message["data"]

            yield messages()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _answer(self, command: Awaitable[Any]) -> Any:
        task = asyncio.current_task()
        cancelled = 0 if task is None else task.cancelling()
        try:
            async with asyncio.timeout(4 * ANSWER_SECONDS):
                result = await command
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreUnavailable(f"the store ({self.name}) does not answer: {error}") from error
        # It waits by `asyncio.wait_for`, which in Python 3.11 forgets a cancellation that comes with the answer.
        if task is not None and task.cancelling() > cancelled:
            raise asyncio.CancelledError
        return result


def _milliseconds(seconds: float | None) -> int:
    """Returns at least one millisecond; 0 for no end."""
    return 0 if seconds is None else max(1, round(seconds * 1e3))
