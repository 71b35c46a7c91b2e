"""Replicas that share a store: the same windows whoever is asked, one verdict, one alarm."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
import structlog

from models.accuracy.agreement import NO_ROWS, Agreement
from models.drift.baseline import MIN_WINDOWS, Baseline
from models.errors import NotReady
from service.catalog.served_version import ServedVersion
from service.replicas.member import Member
from service.replicas.membership import Membership
from service.replicas.memory import MemoryStore
from service.replicas.store import StoreUnavailable
from service.watching.alarms.alarm import UNLOADED, UNUSED, UNUSED_SECONDS, Alarm
from service.watching.judge import LEASE_SECONDS, Judge
from service.watching.monitor import DriftMonitor
from service.watching.observed_model import ObservedModel
from service.watching.shared_drift import SharedDrift, version_key
from service.watching.shared_windows import KEPT_SECONDS
from service.watching.windows import Bucket
from tests.awaiting import until, within_time
from tests.bundles import NORM
from tests.service.watching.doubles import ESTIMATOR, Catalog, Clock, observation
from tests.watching import usual_rows

WINDOW_ROWS = 64


class FailingStore(MemoryStore):
    """A store that may fail before a change, or lose the answer after it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.failing = ""

    async def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        if self.failing == "before":
            raise StoreUnavailable("the store does not answer")
        await super().put(key, value, ttl)
        if self.failing == "after":
            raise StoreUnavailable("the answer is lost")


class Replica:
    def __init__(self, name: str, served: ServedVersion, store: MemoryStore, clock: Clock, delivers: bool) -> None:
        member = Member(id=name, address="http://127.0.0.1", version="1", started=datetime.now(UTC))
        self.events: list[Alarm] = []
        self.logged: list[Alarm] = []
        self.delivered: list[tuple[Alarm, str]] = []
        self._delivers = delivers
        self.fails_to_deliver = False
        membership = Membership(store, member)
        self.shared = SharedDrift(
            membership, Judge(membership, clock, self.logged.append, self._deliver), self.events.append
        )
        self.catalog = Catalog(served)
        self.monitor = DriftMonitor(self.catalog, WINDOW_ROWS, clock=clock, shared=self.shared)
        self.version = self.monitor.of(served)

    async def _deliver(self, alarm: Alarm, identity: str) -> None:
        if self.fails_to_deliver:
            self.fails_to_deliver = False
            raise LookupError("an alarm that cannot be sent")
        if not self._delivers:
            await asyncio.Event().wait()
        self.delivered.append((alarm, identity))

    async def window(self, window: str) -> Bucket:
        return await asyncio.to_thread(self.version.window, window)


class Fleet:
    """Replicas of one version, whose handlers the test calls."""

    def __init__(self, served: ServedVersion, observed_model: ObservedModel, clock: Clock) -> None:
        self.clock = clock
        self.store = FailingStore(clock)
        self._served = served
        self._observed_model = observed_model

    def add(self, name: str, *, delivers: bool = True) -> Replica:
        return Replica(name, self._served, self.store, self.clock, delivers)

    def observe(self, replica: Replica, rows: np.ndarray, agreement: Agreement = NO_ROWS) -> None:
        replica.monitor.record(replace(observation(self._observed_model, rows), agreement=agreement))

    def alone(self, rows: np.ndarray) -> DriftMonitor:
        """One process that has observed all rows."""
        monitor = DriftMonitor(Catalog(self._served), WINDOW_ROWS, clock=self.clock)
        for part in np.array_split(rows, max(1, len(rows) // 16)):
            monitor.record(observation(self._observed_model, part))
        return monitor


@pytest.fixture
def fleet(served: ServedVersion, observed_model: ObservedModel, clock: Clock) -> Fleet:
    return Fleet(served, observed_model, clock)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(within_time(test, "the replicas do not agree"))


async def exchange(*replicas: Replica) -> None:
    for replica in replicas:
        await replica.shared.write()
    for replica in replicas:
        await replica.shared.read()


def assert_same(found: Bucket, expected: Bucket) -> None:
    assert found.rows == expected.rows
    np.testing.assert_array_equal(found.classes, expected.classes)
    for name in ("row_mean", "row_square", "m2_mean", "m2_square", "co"):
        np.testing.assert_allclose(
            getattr(found.layers[NORM], name), getattr(expected.layers[NORM], name), rtol=1e-9, atol=1e-12
        )


def test_windows_are_those_of_one_process_whichever_replica_is_asked(fleet: Fleet, served: ServedVersion) -> None:
    async def test() -> None:
        replicas = [fleet.add(name) for name in "abcd"]
        rows = usual_rows(160)
        for number, part in enumerate(np.array_split(rows, 10)):
            fleet.observe(replicas[number % 4], part)
            if number % 3 == 0:
                await exchange(*replicas)
        await exchange(*replicas)
        await exchange(*replicas)

        expected = fleet.alone(rows).of(served)
        for window in ("1m", "1h", "1d", "start"):
            for replica in replicas:
                assert_same(await replica.window(window), expected.window(window))
        with pytest.raises(AssertionError):
            assert_same(await replicas[0].window("1h"), fleet.alone(rows[1:]).of(served).window("1h"))
        effort = await asyncio.to_thread(lambda: replicas[3].version.service_effort)
        assert effort.rows == 160

    run(test())


def test_rows_that_the_store_did_not_take_come_later_and_count_once(fleet: Fleet, served: ServedVersion) -> None:
    async def test() -> None:
        a, b = fleet.add("a"), fleet.add("b")
        rows = usual_rows(90)
        for failing, part in zip(("after", "before", "after"), np.array_split(rows, 3), strict=True):
            fleet.observe(a, part)
            fleet.store.failing = failing
            with pytest.raises(StoreUnavailable):
                await a.shared.write()
        fleet.store.failing = ""
        await exchange(a, b)

        assert_same(await b.window("start"), fleet.alone(rows).of(served).window("start"))
        last = await asyncio.to_thread(b.version.last)
        assert last.rows >= WINDOW_ROWS
        assert last.rows <= 90

    run(test())


def test_the_accuracy_is_that_of_all_rows_also_where_a_replica_has_observed_none(fleet: Fleet) -> None:
    async def test() -> None:
        judge, a, b = (fleet.add(name) for name in ("judge", "a", "b"))
        a.version.assessor.estimator = b.version.assessor.estimator = ESTIMATOR
        await exchange(judge, a, b)
        for replica, agreement in ((a, Agreement(32, 30, 28.0, 31)), (b, Agreement(32, 20, 15.0, 31))):
            fleet.observe(replica, usual_rows(32), agreement)
        await exchange(a, b)
        await exchange(judge, a, b)
        await exchange(judge, a, b)

        expected = ESTIMATOR.current(Agreement(64, 50, 43.0, 62))
        for replica in (judge, a, b):
            window = await replica.window("1h")
            assert replica.version.assessor.assess(window).accuracy == expected
            assert replica.version.judged is not None
            assert replica.version.judged.assessment.accuracy == expected

    run(test())


def test_an_alarm_is_one_for_all_replicas(fleet: Fleet) -> None:
    async def test() -> None:
        replicas = [fleet.add(name) for name in "abc"]
        await exchange(*replicas)
        for shift in (0, 3, 3, 0, 0, 0, 3):
            for part, replica in enumerate(replicas):
                fleet.observe(replica, usual_rows(30, seed=10 * shift + part) + np.float32(shift))
            await exchange(*replicas)
            await exchange(*replicas)
        for replica in replicas:
            assert [alarm.alarm for alarm in replica.events] == [True, False, True]
            assert replica.version.alarms == replicas[0].version.alarms
            assert [course.ended is None for course in replica.version.alarms.courses] == [False, True]
            assert replica.version.judged is not None
            assert replica.version.judged.assessment == replicas[0].version.judged.assessment  # type: ignore[union-attr]
        await until(lambda: sum(len(replica.delivered) for replica in replicas) == 3, "an alarm is not delivered")
        await asyncio.sleep(0)
        assert sum(len(replica.logged) for replica in replicas) == 3
        delivered = [alarm for replica in replicas for alarm in replica.delivered]
        assert [alarm.alarm for alarm, _ in delivered] == [True, False, True]
        assert len({identity for _, identity in delivered}) == 3

    run(test())


def test_the_alarm_of_a_replaced_version_ends_once_an_hour_after_the_last_rows_of_all_replicas(
    fleet: Fleet, clock: Clock
) -> None:
    async def test() -> None:
        judge, other = fleet.add("a"), fleet.add("b")
        replicas = judge, other
        await exchange(*replicas)
        fleet.observe(other, usual_rows(70) + np.float32(3))
        await exchange(*replicas)
        await exchange(*replicas)
        clock.now += 10 * UNUSED_SECONDS
        await exchange(*replicas)
        assert judge.version.alarms.open is not None, "the default version keeps its alarm, however long it is idle"

        for replica in replicas:
            replica.catalog.replace()
        fleet.observe(other, usual_rows(1))  # of a request that names it
        await exchange(other, judge)
        clock.now += UNUSED_SECONDS / 2
        await exchange(*replicas)
        assert judge.version.alarms.open is not None, "a version that requests name keeps its alarm"
        clock.now += UNUSED_SECONDS
        for _ in range(3):
            await exchange(*replicas)

        for replica in replicas:
            assert [(alarm.alarm, alarm.course.end_reason) for alarm in replica.events] == [(True, ""), (False, UNUSED)]
            assert replica.version.alarms.open is None
            assert [course.ended for course in replica.version.alarms.courses] == [clock.now]
        await until(lambda: len(judge.delivered + other.delivered) == 2, "the end of the alarm is not delivered")
        assert len(judge.logged + other.logged) == 2

    run(test())


def test_the_alarm_of_an_unloaded_version_ends_in_all_replicas(fleet: Fleet) -> None:
    async def test() -> None:
        replicas = [fleet.add(name) for name in "ab"]
        fleet.observe(replicas[1], usual_rows(70) + np.float32(3))
        await exchange(*replicas)
        await exchange(*replicas)
        for replica in replicas:
            replica.catalog.unload()
        for _ in range(2):
            await exchange(*replicas)

        for replica in replicas:
            assert [(alarm.alarm, alarm.message) for alarm in replica.events][1:] == [(False, UNLOADED)]
            replica.catalog.load()
        late = fleet.add("late")
        await exchange(*replicas, late)
        for replica in (*replicas, late):
            assert [course.end_reason for course in replica.version.alarms.courses] == [UNLOADED]

    run(test())


def test_the_windows_of_an_unloaded_version_leave_the_memory(fleet: Fleet) -> None:
    async def test() -> None:
        replica = fleet.add("a")
        fleet.observe(replica, usual_rows(10))
        await exchange(replica)
        buckets = [weakref.ref(bucket) for _, _, bucket in replica.version.own_buckets()]
        assert all(bucket() is not None for bucket in buckets)

        replica.catalog.unload()
        replica.monitor.save()
        del replica.version
        for _ in range(2):
            await exchange(replica)
        gc.collect()

        assert [bucket() for bucket in buckets] == [None] * len(buckets)

    run(test())


def test_the_store_forgets_a_version_without_rows_but_not_its_baseline(
    fleet: Fleet, served: ServedVersion, clock: Clock
) -> None:
    async def test() -> None:
        replica = fleet.add("a")
        await replica.monitor.set_baseline(served, Baseline(MIN_WINDOWS, WINDOW_ROWS, clock.now))
        fleet.observe(replica, usual_rows(70))
        await exchange(replica)
        kinds = {name.partition("/")[0] for name in await fleet.store.get_many("")}
        assert kinds >= {"judge", "finding", "baseline"}

        clock.now += 2 * KEPT_SECONDS

        assert {name.partition("/")[0] for name in await fleet.store.get_many("")} == {"baseline"}

    run(test())


def test_when_the_judge_dies_another_one_goes_on(fleet: Fleet, clock: Clock) -> None:
    async def test() -> None:
        dying, heir = fleet.add("a", delivers=False), fleet.add("b")
        await exchange(dying, heir)
        fleet.observe(heir, usual_rows(70) + np.float32(3))
        await exchange(heir, dying)
        await exchange(heir, dying)
        assert [alarm.alarm for alarm in dying.logged] == [True]
        for number in range(2):
            fleet.observe(heir, usual_rows(64, seed=number))
        fleet.observe(heir, usual_rows(40))
        await exchange(heir, dying)
        assert heir.delivered == []

        # It dies, with an alarm that it has not delivered and a window that is not full.
        dying.shared.close()
        await exchange(heir)
        assert heir.delivered == []
        clock.now += LEASE_SECONDS
        await exchange(heir)
        await until(lambda: heir.delivered, "the alarm is not delivered")
        fleet.observe(heir, usual_rows(40, seed=1))
        await exchange(heir)
        await until(lambda: len(heir.delivered) == 2, "the end of the alarm is not delivered")

        assert [alarm.alarm for alarm in heir.events] == [True, False]
        assert [alarm.alarm for alarm in heir.logged] == [False]
        assert [alarm.alarm for alarm, _ in heir.delivered] == [True, False]
        assert (await asyncio.to_thread(heir.version.last)).rows == 80

    run(test())


def test_an_alarm_that_cannot_be_sent_is_logged_and_those_after_it_are_delivered(fleet: Fleet) -> None:
    async def test() -> None:
        replica = fleet.add("a")
        replica.fails_to_deliver = True
        await exchange(replica)
        for number, shift in enumerate((3, 0, 0, 0)):
            fleet.observe(replica, usual_rows(70, seed=number) + np.float32(shift))
            await exchange(replica)
        await until(lambda: replica.delivered, "the end of the alarm is not delivered")

        assert [alarm.alarm for alarm in replica.logged] == [True, False]
        assert [alarm.alarm for alarm, _ in replica.delivered] == [False]

    with structlog.testing.capture_logs() as events:
        run(test())
    assert [event["event"] for event in events if event["log_level"] == "error"] == ["alarm_not_delivered"]


def test_a_replica_that_starts_shows_the_alarm_and_tells_nobody(fleet: Fleet) -> None:
    async def test() -> None:
        a = fleet.add("a")
        fleet.observe(a, usual_rows(70) + np.float32(3))
        await exchange(a)
        await exchange(a)
        late = fleet.add("late")
        await exchange(late)

        assert late.version.alarms.open is not None
        assert late.version.alarms == a.version.alarms
        assert late.events == []
        assert (await late.window("start")).rows == 70

    run(test())


def test_values_of_another_release_are_ignored(fleet: Fleet) -> None:
    async def test() -> None:
        a = fleet.add("a")
        fleet.observe(a, usual_rows(70) + np.float32(3))
        await exchange(a)
        for key, value in (await fleet.store.get_many("")).items():
            if not key.startswith("member/"):
                await fleet.store.put(key.replace("/a", "/newer"), b"99:" + value)
                if key.startswith(("judge/", "finding/")):
                    await fleet.store.put(key, b"99:" + value)
        late = fleet.add("late")
        await exchange(late, a)

        assert (await late.window("start")).rows == 70
        assert late.version.judged is None

    run(test())


def test_what_another_release_has_left_is_judged_anew(fleet: Fleet, served: ServedVersion, clock: Clock) -> None:
    """Its state cannot be read, but its baseline can. It judges no more, since this replica has the lease."""

    async def test() -> None:
        a = fleet.add("a")
        await exchange(a)
        baseline = Baseline(MIN_WINDOWS, WINDOW_ROWS, clock.now)
        await a.monitor.set_baseline(served, baseline)
        await fleet.store.put(f"judge/{version_key('tiny', 1, a.version.identity)}", b"999:later")
        fleet.observe(a, usual_rows(70) + np.float32(3))
        await exchange(a)
        await exchange(a)

        assert [alarm.alarm for alarm in a.events] == [True]
        assert a.version.baseline is not None
        assert a.version.baseline.windows == baseline.windows

    run(test())


def test_a_baseline_is_learnt_from_the_windows_of_all_replicas_and_used_by_all(
    fleet: Fleet, served: ServedVersion, clock: Clock
) -> None:
    async def test() -> None:
        a, b = fleet.add("a"), fleet.add("b")
        await exchange(a, b)
        await b.monitor.set_baseline(served, Baseline(MIN_WINDOWS, WINDOW_ROWS, clock.now))
        for number in range(MIN_WINDOWS):
            fleet.observe((a, b)[number % 2], usual_rows(WINDOW_ROWS, seed=number) + np.float32(0.4 * (number % 3 - 1)))
            if number == MIN_WINDOWS // 2:
                await exchange(a, b)
                late = fleet.add("late")  # which begins with what the others know
                await exchange(late)
        await exchange(a, b, late)
        await exchange(a, b, late)

        for replica in (a, b, late):
            assert replica.version.baseline is not None
            assert replica.version.baseline == a.version.baseline
            assert replica.version.baseline.learned == MIN_WINDOWS
        assert a.version.assessor.baseline_factor > 1.2
        await a.monitor.set_baseline(served, None)
        await exchange(a, b, late)
        assert [replica.version.baseline for replica in (a, b, late)] == [None] * 3

    run(test())


def test_a_version_that_another_release_judges_gets_no_baseline(fleet: Fleet, served: ServedVersion) -> None:
    async def test() -> None:
        a = fleet.add("a")
        await exchange(a)
        await fleet.store.put(f"judge/{version_key('tiny', 1, a.version.identity)}", b"999:later")
        with pytest.raises(NotReady, match="another release"):
            await a.monitor.set_baseline(served, Baseline(MIN_WINDOWS, WINDOW_ROWS, 0.0))
        assert a.version.baseline is None

    run(test())
