"""What `auto` mode reads off a job, and off the latest rows of a promoted version: `service.auto.observing`."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from models.manifest import Gate
from models.moments.window import WindowMoments
from models.recalibration import gates
from models.repository.auto import Auto, AutoLimits, Phase
from models.runtime.engine import Engine
from service.auto.observing import AutoObserver, observe_job
from service.catalog.served_version import ServedVersion
from service.recalibrating.job import Job
from service.telemetry.statistics import ServiceStatistics
from service.watching.monitor import DriftMonitor
from service.watching.observation import Observation
from tests.domains import PARENT_BUNDLE, UP, domain_bundle, observe, rows_of
from tests.service.watching.doubles import Clock


def refused(*found: Gate) -> Job:
    """A job that has ended without a version."""
    now = datetime.now(UTC)
    return Job(
        id="job",
        kind="recalibration",
        model="mine",
        version=1,
        state="refused",
        reason="a gate",
        rows=256,
        target_rows=256,
        prior=None,
        force=False,
        gates=found,
        created_at=now,
        updated_at=now,
    )


def test_a_job_whose_rows_were_still_moving_is_told_from_others() -> None:
    moving, few = gates.trend(1.0, 0.9, 0.1), gates.rows(1)

    observed = observe_job(refused(few, moving))
    assert (observed.is_finished, observed.published, observed.reason, observed.was_moving) == (
        True,
        None,
        "a gate",
        True,
    )
    assert not observe_job(refused(few)).was_moving


class Loaded:
    """A catalog of a model's versions."""

    def __init__(self, *versions: ServedVersion) -> None:
        self._versions = versions

    def served(self) -> list[ServedVersion]:
        return list(self._versions)


def _served(version: int) -> ServedVersion:
    bundle = domain_bundle(version)
    return ServedVersion("tiny", version, bundle.manifest, Engine(bundle.folded, bundle.manifest.inputs))


async def _no_statistics() -> ServiceStatistics:
    return ServiceStatistics()


class Traffic:
    """Rows that version `UP` answers, and what is observed of them."""

    def __init__(self) -> None:
        self.clock = Clock()
        base, promoted = _served(PARENT_BUNDLE), _served(UP)
        catalog: Any = Loaded(base, promoted)
        recalibrations: Any = None  # no job is asked for
        monitor = DriftMonitor(catalog, clock=self.clock)
        self._monitor = monitor.of(promoted)
        self._auto = Auto.started(AutoLimits(), base.version, promoted.version, self.clock.now)
        self._observer = AutoObserver(catalog, monitor, recalibrations, _no_statistics, self.clock)

    def send(self, of: int, rows: int, seconds: float) -> None:
        """Rows that fit a version, one after the other."""
        fit = 1.0 if of == UP else -1.0
        for _ in range(rows):
            self.clock.now += seconds
            self._monitor.record(Observation("tiny", UP, {}, np.zeros(0, np.int64), fit=fit))

    def answer(self, rows: int, seconds: float) -> None:
        """Rows that are observed, one after the other."""
        layers = {name: WindowMoments.of(found) for name, found in observe(UP, rows_of(UP, 1)).items()}
        for _ in range(rows):
            self.clock.now += seconds
            self._monitor.record(Observation("tiny", UP, layers, np.zeros(0, np.int64)))

    def rows_for_base(self, auto: Auto | None = None) -> float:
        found = asyncio.run(self._observer.observe("tiny", auto or self._auto)).rows_for_base
        return found.get(UP, 0.0)

    def rows_per_hour(self) -> float:
        return asyncio.run(self._observer.observe("tiny", self._auto)).rows_per_hour

    def promote_now(self) -> None:
        self._auto = self._auto.model_copy(update={"promoted_at": self.clock.now})

    def try_as(self, phase: Phase) -> Auto:
        """The state in which the base answers, and `UP` is tried."""
        base = {"served": self._auto.base, "promoted_at": None}
        return self._auto.model_copy(update={**base, "phase": phase, "candidate": UP})


@pytest.mark.parametrize("seconds", [0.05, 1.0, 50.0], ids=["many", "some", "few"])
def test_the_end_of_what_a_version_was_made_for_is_seen_in_a_few_rows(seconds: float) -> None:
    traffic = Traffic()
    traffic.send(UP, 40, seconds)
    assert traffic.rows_for_base() == 0

    traffic.clock.now += 60
    traffic.send(PARENT_BUNDLE, 20, seconds)
    assert traffic.rows_for_base() == 20

    traffic.clock.now += 60
    traffic.send(UP, 20, seconds)
    assert traffic.rows_for_base() == 0


def test_rows_of_before_the_promotion_do_not_count() -> None:
    traffic = Traffic()
    traffic.send(PARENT_BUNDLE, 20, 1.0)
    assert traffic.rows_for_base() == 20

    traffic.clock.now += 1
    traffic.promote_now()
    assert traffic.rows_for_base() == 0


@pytest.mark.parametrize("phase", ["canary", "shadow"])
def test_a_version_that_is_tried_counts(phase: Phase) -> None:
    traffic = Traffic()
    traffic.send(PARENT_BUNDLE, 20, 1.0)

    assert traffic.rows_for_base(traffic.try_as(phase)) == 20
    assert traffic.rows_for_base(traffic.try_as(phase).model_copy(update={"candidate": None})) == 0


def test_the_rows_of_an_hour_are_those_of_the_last_one_or_follow_from_the_time_since_the_first() -> None:
    traffic = Traffic()
    assert traffic.rows_per_hour() == 0

    traffic.answer(rows=50, seconds=12.0)  # ten minutes
    assert traffic.rows_per_hour() == pytest.approx(300, rel=0.05)

    traffic.answer(rows=600, seconds=12.0)  # two hours
    assert traffic.rows_per_hour() == pytest.approx(300, rel=0.05)

    traffic.clock.now += 1800  # half an hour without any
    assert traffic.rows_per_hour() == pytest.approx(150, rel=0.1)
