"""The windows of time of all replicas, through the store.

Each replica writes its own buckets, one value for each version, window and slot, which replaces the last one: a value
that is written twice counts once. The replica that is asked merges those of all replicas (Chan, Golub & LeVeque 1983).
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Container, Mapping
from dataclasses import asdict
from typing import TypeVar

import orjson

from models.accuracy.agreement_estimator import AgreementEstimator
from models.errors import InvalidInput
from service.replicas.membership import Membership
from service.replicas.values import pack, unpack
from service.telemetry.effort import Effort
from service.watching.stored_observations import StoredObservations
from service.watching.version_monitor import VersionMonitor
from service.watching.windows import HORIZONS, Bucket, Window

Result = TypeVar("Result")

SCHEMA = 1
ESTIMATOR_SCHEMA = 2
"""Of estimators: one from other signs estimates nothing here."""

ANSWER_SECONDS = 20.0
"""How long a thread waits for the store."""

KEPT_SECONDS = 30 * 86_400.0
"""How long the store keeps what concerns all of the time, once it is not written any more."""
_GRACE_SECONDS = 60.0
"""After its window, a bucket stays for replicas whose clock is slow."""


class SharedWindows:
    """Writes the buckets of this replica, and reads those of all replicas.

    Args:
        membership: of this replica.
    """

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self._store = membership.store
        self._loop: asyncio.AbstractEventLoop
        self._estimators: dict[str, AgreementEstimator] = {}
        self._written: dict[str, dict[tuple[Window, int], Bucket]] = defaultdict(dict)

    def attach(self) -> None:
        """Let threads wait for the store, which belongs to the running event loop."""
        self._loop = asyncio.get_running_loop()

    async def write(self, key: str, monitor: VersionMonitor) -> None:
        """Write what has changed since the last call.

        Args:
            key: of the version.
            monitor: has this replica's own rows.

        Raises:
            StoreUnavailable: the store does not answer; the next call writes what is missing.
        """
        written, own = self._written[key], {(window, slot): bucket for window, slot, bucket in monitor.own_buckets()}
        for place in written.keys() - own.keys():
            del written[place]
        for place, bucket in own.items():
            if written.get(place) is not bucket:
                value = await asyncio.to_thread(_encode, place, bucket)
                await self._store.put(self._key(key, *place), value, _ttl(place[0]))
                written[place] = bucket
        for number, bucket in monitor.take_unjudged().items():
            value = await asyncio.to_thread(encode_rows, bucket)
            await self._store.put(f"unjudged/{key}/{self._membership.id}/{number}", value, 3600.0)
            monitor.confirm_unjudged(number)
        if own:
            effort = pack(SCHEMA, orjson.dumps(asdict(monitor.effort)))
            await self._store.put(f"effort/{key}/{self._membership.id}", effort, KEPT_SECONDS)

    def forget_others(self, keys: Container[str]) -> None:
        """Keep nothing of other versions than these. What the store has of them stays."""
        for known in (self._written, self._estimators):
            for key in [key for key in known if key not in keys]:
                del known[key]

    async def share_estimator(self, key: str, monitor: VersionMonitor) -> None:
        """Write the estimator of a version's accuracy, or read that of another replica, where there is none here.

        Args:
            key: of the version.
            monitor: of the version. The judge may have observed no rows itself.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        name = f"estimator/{key}"
        if monitor.assessor.estimator is None:
            payload = unpack(ESTIMATOR_SCHEMA, await self._store.get(name))
            if payload is not None:
                self._estimators[key] = monitor.assessor.estimator = AgreementEstimator.from_json(payload)
        elif self._estimators.get(key) is not monitor.assessor.estimator:
            await self._store.put(name, pack(ESTIMATOR_SCHEMA, monitor.assessor.estimator.to_json()), KEPT_SECONDS)
            self._estimators[key] = monitor.assessor.estimator

    async def read(self, key: str, window: Window, now: float) -> list[tuple[int, Bucket]]:
        """Returns slot and bucket of a version's buckets of all replicas, in a window that ends now, oldest first.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        horizon = HORIZONS[window]
        newest = horizon.slot(now)
        values = await self._membership.observe(self._store.get_many(f"moments/{key}/{window}/"))
        return await asyncio.to_thread(_merge, values, range(newest - horizon.buckets + 1, newest + 1))

    async def read_effort(self, key: str) -> Effort:
        """Returns what observing a version has cost all replicas.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        total = Effort()
        for value in (await self._membership.observe(self._store.get_many(f"effort/{key}/"))).values():
            if payload := unpack(SCHEMA, value):
                total.add(Effort(**orjson.loads(payload)))
        return total

    def wait(self, answer: Awaitable[Result]) -> Result:
        """Returns an answer of the store, to a thread which waits."""

        async def within_time() -> Result:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await answer

        return asyncio.run_coroutine_threadsafe(within_time(), self._loop).result()

    def _key(self, key: str, window: Window, slot: int) -> str:
        return f"moments/{key}/{window}/{slot}/{self._membership.id}"


def encode_rows(bucket: Bucket) -> bytes:
    """Returns rows as a value of the store."""
    return pack(SCHEMA, StoredObservations("", (), bucket, None, 0.0).to_bytes())


def decode_rows(value: bytes) -> Bucket | None:
    """Returns what `encode_rows` wrote; None for a value of another release."""
    payload = unpack(SCHEMA, value)
    try:
        return None if payload is None else StoredObservations.from_bytes(payload).filling
    except InvalidInput:
        return None


def _encode(place: tuple[Window, int], bucket: Bucket) -> bytes:
    return pack(SCHEMA, StoredObservations("", [(*place, bucket)], None, None, 0.0).to_bytes())


def _merge(values: Mapping[str, bytes], slots: range) -> list[tuple[int, Bucket]]:
    found: defaultdict[int, list[Bucket]] = defaultdict(list)
    for value in values.values():
        if payload := unpack(SCHEMA, value):
            for _, slot, bucket in StoredObservations.from_bytes(payload).windows:
                found[slot].append(bucket)
    return [(slot, Bucket.merged(found[slot])) for slot in sorted(found) if slot in slots]


def _ttl(window: Window) -> float:
    horizon = HORIZONS[window]
    return horizon.seconds * horizon.buckets + _GRACE_SECONDS if horizon.seconds else KEPT_SECONDS
