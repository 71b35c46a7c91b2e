"""Labels find the replica that has answered, and those that do not answer are named."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from models.accuracy.labelled import Labelled
from models.errors import NotReady
from service.catalog.served_version import ServedVersion
from service.replicas.member import Member
from service.replicas.membership import Membership
from service.replicas.memory import MemoryStore
from service.replicas.store import StoreUnavailable
from service.telemetry.statistics import ServiceStatistics
from service.watching.labels.answered_requests import AnsweredRequests
from service.watching.labels.labels import LabelledRequest, LabelReport, Labels
from service.watching.labels.shared_labels import LABELS_PATH, SharedLabels
from service.watching.monitor import DriftMonitor
from tests.awaiting import within_time
from tests.service.watching.doubles import Catalog, Clock


class SharedStore(MemoryStore):
    is_shared = True


class Fleet:
    """Replicas that share a store, and ask each other without HTTP."""

    def __init__(self, served: ServedVersion, clock: Clock, store: MemoryStore) -> None:
        self.answered: dict[str, AnsweredRequests] = {}
        self.monitors: dict[str, DriftMonitor] = {}
        self.labels: dict[str, SharedLabels] = {}
        self.memberships: list[Membership] = []
        self.silent: set[str] = set()
        for name in "abc":
            member = Member(id=name, address="http://127.0.0.1", version="1", started=datetime.now(UTC))
            membership = Membership(store, member)
            catalog: Any = Catalog(served)
            self.answered[name] = AnsweredRequests(100, clock)
            self.monitors[name] = DriftMonitor(catalog, 64, clock=clock)
            own = Labels(catalog, self.answered[name], self.monitors[name], ServiceStatistics())
            self.labels[name] = SharedLabels(own, membership, self)  # type: ignore[arg-type]
            self.memberships.append(membership)

    async def post(self, member: Member, path: str, body: bytes) -> bytes:
        assert path == f"{LABELS_PATH}tiny"
        if member.id in self.silent:
            raise NotReady("it does not answer")
        return self.labels[member.id].take("tiny", body)

    async def send(self, *ids: str) -> LabelReport:
        return await self.labels["a"].apply("tiny", [LabelledRequest(id=name, classes=[1]) for name in ids])


def run(fleet: Fleet, served: ServedVersion, *, silent: str = "") -> LabelReport:
    async def test() -> LabelReport:
        for membership in fleet.memberships:
            await membership.update()
        for name, predicted in (("a", 1), ("b", 1), ("c", 0)):
            scores = {served.manifest.outputs[0].name: np.eye(2, dtype=np.float32)[[predicted]]}
            fleet.answered[name].add(f"of-{name}", served, scores)
        fleet.silent = set(silent)
        return await fleet.send("of-a", "of-b", "of-c", "of-nobody")

    return asyncio.run(within_time(test(), "the replicas do not answer"))


def test_each_replica_counts_the_requests_that_it_has_answered(served: ServedVersion, clock: Clock) -> None:
    fleet = Fleet(served, clock, SharedStore(clock))

    report = run(fleet, served)

    assert (report.rows, report.correct, report.unknown, report.unreached) == (3, 2, ["of-nobody"], [])
    counted = {name: monitor.of(served).window("1h").labelled for name, monitor in fleet.monitors.items()}
    assert counted == {"a": Labelled(1, 1), "b": Labelled(1, 1), "c": Labelled(1, 0)}


def test_a_replica_that_does_not_answer_is_named(served: ServedVersion, clock: Clock) -> None:
    report = run(Fleet(served, clock, SharedStore(clock)), served, silent="b")

    assert (report.rows, sorted(report.unknown), report.unreached) == (2, ["of-b", "of-nobody"], ["b"])


def test_without_a_store_no_other_replica_is_asked(served: ServedVersion, clock: Clock) -> None:
    report = run(Fleet(served, clock, MemoryStore(clock)), served)

    assert (report.rows, report.unknown, report.unreached) == (1, ["of-b", "of-c", "of-nobody"], [])


def test_while_the_store_does_not_answer_labels_are_to_be_sent_again(served: ServedVersion, clock: Clock) -> None:
    fleet = Fleet(served, clock, SharedStore(clock))

    async def fail(_prefix: str) -> None:
        raise StoreUnavailable("the store does not answer")

    fleet.memberships[0].store.get_many = fail  # type: ignore[method-assign, assignment]
    with pytest.raises(NotReady, match="send the labels again"):
        asyncio.run(fleet.send("of-nobody"))
