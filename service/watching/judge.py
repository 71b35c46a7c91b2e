"""Judges the rows of all replicas once: windows of rows, the alarms that begin and end with them, their delivery.

Every replica has a judge. The one that has the lease works; when its replica dies, another one goes on from the state
in the store. A state is written by compare-and-set together with what it has consumed, so that no rows are judged twice
and no alarm begins twice. An alarm stays in the state until it is delivered.
"""

import asyncio
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from hashlib import sha256

import structlog

from models.drift.alarm_course import NO_ALARMS, AlarmState
from models.drift.baseline import Baseline
from models.errors import NotReady
from service.catalog.served_version import ServedVersion
from service.replicas.membership import Membership
from service.replicas.store import StoreUnavailable, revision_of
from service.watching.alarms.alarm import UNLOADED, UNUSED, UNUSED_SECONDS, Alarm
from service.watching.judge_state import Finding, JudgeState, SharedBaseline
from service.watching.judged_window import JudgedWindow
from service.watching.shared_windows import KEPT_SECONDS, decode_rows
from service.watching.version_monitor import VersionMonitor
from service.watching.windows import Bucket

log = structlog.get_logger()

LEASE_SECONDS = 7.0
"""After the death of the replica that judges, another one does."""
_REMEMBERED_SECONDS = 7200.0
"""Longer than unjudged rows stay in the store."""
FINDINGS_TOPIC = "findings"
_ATTEMPTS = 10
"""At a state that the replica that judges changes as well."""

Deliver = Callable[[Alarm, str], Awaitable[object]]
"""Delivers an alarm under an id, which is the same at every attempt. Returns when it is done, or given up."""


class Judge:
    """Judges the rows of all replicas while this one has the lease.

    Args:
        membership: of this replica.
        clock: seconds since 1970.
        on_alarm: called here, and nowhere else, with every alarm that begins or ends.
        deliver: delivers an alarm to the webhook.
    """

    def __init__(
        self, membership: Membership, clock: Callable[[], float], on_alarm: Callable[[Alarm], None], deliver: Deliver
    ) -> None:
        self._membership = membership
        self._store = membership.store
        self._clock = clock
        self._on_alarm = on_alarm
        self._deliver = deliver
        self._is_holder = False
        self._delivering: dict[str, asyncio.Task[None]] = {}
        self._state = asyncio.Lock()

    async def work(self, versions: Mapping[str, tuple[ServedVersion, VersionMonitor]]) -> None:
        """Judge what has come, if this replica has the lease.

        Args:
            versions: the served versions and their monitors, by key.

        Raises:
            StoreUnavailable: the store does not answer; the next call goes on.
        """
        # What a holder that has died has not finished is in the states, and so is what this one could not write.
        is_new, self._is_holder = not self._is_holder, False
        if not await self._store.lease("judge", self._membership.id, LEASE_SECONDS):
            self._stop_delivering()
            return
        parts: defaultdict[str, list[tuple[str, str, int, bytes]]] = defaultdict(list)
        for name, value in (await self._store.get_many("unjudged/")).items():
            key, replica, number = name.removeprefix("unjudged/").rsplit("/", 2)
            parts[key].append((name, replica, int(number), value))
        for key, (served, monitor) in versions.items():
            if key in parts or is_new:
                await self._judge(key, served, monitor, sorted(parts[key], key=lambda part: part[1:3]))
        self._is_holder = True

    async def end_alarms(
        self, versions: Mapping[str, tuple[ServedVersion, VersionMonitor]], *, are_loaded: bool
    ) -> None:
        """End the alarms of versions that answer no more, if this replica has the lease.

        Args:
            versions: without a role, by key.
            are_loaded: they may be named by requests: their alarms end when they have had no rows for an hour.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        reason, last_rows_before = (UNUSED, self._clock() - UNUSED_SECONDS) if are_loaded else (UNLOADED, math.inf)
        for key, (served, monitor) in versions.items():
            is_idle = monitor.judged is not None and monitor.judged.at <= last_rows_before
            if self._is_holder and is_idle and monitor.alarms.open is not None:
                await self._change(key, partial(self._end_alarm, served, reason, last_rows_before))

    async def set_baseline(self, key: str, baseline: Baseline | None) -> None:
        """Have the rows of a version judged by another baseline, or by none.

        Raises:
            NotReady: another release of this service judges the version.
            StoreUnavailable: the store does not answer.
        """
        for _ in range(_ATTEMPTS):
            value = await self._store.get(f"judge/{key}")
            if (state := JudgeState.from_value(value)) is None:
                raise NotReady("another release of this service judges this version; try again when it has ended")
            changed = replace(state, baseline=baseline).to_value()
            if await self._store.compare_and_set(f"judge/{key}", revision_of(value), changed, KEPT_SECONDS):
                await self._publish_baseline(key, baseline)
                return
        raise NotReady("the state of this version changes too often; try again")

    def close(self) -> None:
        """Stop delivering; another replica does."""
        self._stop_delivering()

    async def _judge(
        self, key: str, served: ServedVersion, monitor: VersionMonitor, parts: list[tuple[str, str, int, bytes]]
    ) -> None:
        if await self._change(key, partial(self._consume, served=served, monitor=monitor, parts=parts)):
            for name, *_ in parts:
                await self._store.delete(name)

    async def _change(self, key: str, change: Callable[[JudgeState], JudgeState]) -> bool:
        """Change the state of a version, and publish what has changed. Returns False if another replica was first."""
        async with self._state:
            value = await self._store.get(f"judge/{key}")
            before = JudgeState.from_value(value)
            if before is None:  # of another release, which judges no more: the lease is here
                before = JudgeState(baseline=await self._shared_baseline(key))
            after = await asyncio.to_thread(change, before)
            if after != before and not await self._store.compare_and_set(
                f"judge/{key}", revision_of(value), await asyncio.to_thread(after.to_value), KEPT_SECONDS
            ):
                return False
        for _, alarm in after.undelivered[len(before.undelivered) :]:
            self._on_alarm(alarm)
        if after.finding is not None:
            await self._store.put(f"finding/{key}", after.finding.to_value(), KEPT_SECONDS)
        if after.baseline != before.baseline:
            await self._publish_baseline(key, after.baseline)
        if after.finding != before.finding:
            await self._membership.announce(FINDINGS_TOPIC)
        if after.undelivered and (key not in self._delivering or self._delivering[key].done()):
            self._delivering[key] = asyncio.create_task(self._deliver_all(key))
        return True

    def _end_alarm(self, served: ServedVersion, reason: str, last_rows_before: float, state: JudgeState) -> JudgeState:
        now, finding = self._clock(), state.finding
        last_rows = max((at for _, at in state.consumed.values()), default=0.0)
        if finding is None or finding.alarms.open is None or last_rows > last_rows_before:
            return state
        rows = Bucket.empty(now) if state.judged is None else state.judged
        judged = JudgedWindow(rows, finding.judged_at, finding.assessment, finding.alarms.end(now, reason))
        return self._judge_window(state, served, judged, finding.alarms)

    def _consume(
        self,
        state: JudgeState,
        served: ServedVersion,
        monitor: VersionMonitor,
        parts: list[tuple[str, str, int, bytes]],
    ) -> JudgeState:
        now = self._clock()
        monitor.baseline = state.baseline
        consumed = {name: last for name, last in state.consumed.items() if last[1] > now - _REMEMBERED_SECONDS}
        for _, replica, number, value in parts:
            rows = decode_rows(value)
            if number <= consumed.get(replica, (0, 0.0))[0] or rows is None:
                continue
            consumed[replica] = number, now
            filling = rows if state.filling is None else Bucket.merged([state.filling, rows])
            state = replace(state, filling=filling, consumed=dict(consumed))
            if filling.rows >= monitor.window_rows:
                before = NO_ALARMS if state.finding is None else state.finding.alarms
                judged = monitor.assessor.judge(filling, now, before)
                state = self._judge_window(replace(state, filling=None), served, judged, before)
                monitor.baseline = monitor.assessor.extend(state.baseline, filling)
                state = replace(state, baseline=monitor.baseline)
        return state

    def _judge_window(
        self, state: JudgeState, served: ServedVersion, judged: JudgedWindow, before: AlarmState
    ) -> JudgeState:
        number, alarm = (0, None) if state.finding is None else (state.finding.number, state.finding.alarm)
        undelivered = state.undelivered
        if (judged.alarms.open is None) != (before.open is None):
            number, alarm = number + 1, Alarm.of(served.model, served.version, served.manifest, judged)
            undelivered = (*undelivered, (number, alarm))
        finding = Finding(
            number=number, judged_at=judged.at, assessment=judged.assessment, alarm=alarm, alarms=judged.alarms
        )
        return replace(state, judged=judged.bucket, finding=finding, undelivered=undelivered)

    async def _shared_baseline(self, key: str) -> Baseline | None:
        stored = SharedBaseline.from_value(await self._store.get(f"baseline/{key}"))
        return None if stored is None else stored.baseline

    async def _publish_baseline(self, key: str, baseline: Baseline | None) -> None:
        if baseline is None:
            await self._store.delete(f"baseline/{key}")
        else:
            await self._store.put(f"baseline/{key}", SharedBaseline(baseline=baseline).to_value())
        await self._membership.announce(FINDINGS_TOPIC)

    async def _deliver_all(self, key: str) -> None:
        """Deliver the alarms of a version, oldest first. Each leaves the state when it was delivered or given up."""
        try:
            await self._deliver_each(key)
        except StoreUnavailable:
            self._is_holder = False  # `work` looks through all states once more

    async def _deliver_each(self, key: str) -> None:
        while (state := JudgeState.from_value(await self._store.get(f"judge/{key}"))) and state.undelivered:
            number, alarm = state.undelivered[0]
            try:
                await self._deliver(alarm, f"msg_{sha256(f'{key}/{number}/{alarm.time}'.encode()).hexdigest()[:24]}")
            except Exception as error:
                log.error("alarm_not_delivered", version=key, alarm=number, exc_info=error)
            async with self._state:
                value = await self._store.get(f"judge/{key}")
                current = JudgeState.from_value(value)
                if current is None:
                    return
                left = tuple(each for each in current.undelivered if each[0] != number)
                changed = replace(current, undelivered=left).to_value()
                await self._store.compare_and_set(f"judge/{key}", revision_of(value), changed, KEPT_SECONDS)

    def _stop_delivering(self) -> None:
        for task in self._delivering.values():
            task.cancel()
        self._delivering.clear()
