"""A shadow version is compared with the default one, and keeps no request waiting."""

import asyncio
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.repository.bundle import Bundle
from models.repository.repository import Repository
from models.runtime.engine import Engine
from service.catalog.catalog import Catalog
from service.catalog.rollouts import Rollouts
from service.inference.shadow import Shadow
from service.telemetry.statistics import ServiceStatistics, ShadowComparison
from tests.awaiting import within_time
from tests.bundles import echo_bundle, tiny_bundle
from tests.rollouts import promote
from tests.service.catalogs import start

ROWS = np.random.default_rng(11).normal(size=(64, 4)).astype(np.float32)


def with_shadow(root: Path, bundles: tuple[Bundle, Bundle], start: Callable[[Bundle], Any] = start) -> Catalog:
    """A catalog of one model: the first version is the default, the second its shadow."""
    repository = Repository(root)
    model = bundles[0].manifest.model
    for bundle in bundles:
        repository.publish(bundle)
    promote(repository, model, 1)
    catalog = Catalog(repository, start)
    catalog.load_all()
    Rollouts(catalog).set_shadow(model, 2)
    return catalog


def two_versions() -> tuple[Bundle, Bundle]:
    return tiny_bundle(seed=0), tiny_bundle(seed=2)


async def counted(comparison: ShadowComparison, runs: int) -> None:
    """Return when so many runs of the shadow are counted."""

    async def look() -> None:
        while comparison.runs.count + comparison.failed_runs < runs:  # noqa: ASYNC110 - it is a count, and no event
            await asyncio.sleep(0)

    await within_time(look(), f"{runs} runs of the shadow were not counted")


def test_it_counts_agreement_and_the_largest_difference(tmp_path: Path) -> None:
    catalog, statistics = with_shadow(tmp_path, two_versions()), ServiceStatistics()
    served, other = catalog.get("tiny"), catalog.get("tiny", 2)
    found = statistics.comparisons["tiny", 1, 2]
    ours, theirs = (version.engine.run({"input": ROWS})["logits"] for version in (served, other))

    async def compare() -> None:
        shadow = Shadow(catalog, statistics)
        for run, first in enumerate(range(0, 64, 16), 1):
            rows = {"input": ROWS[first : first + 16]}
            shadow.offer(served, rows, served.engine.run(rows))
            await counted(found, run)
        shadow.close()

    asyncio.run(compare())

    agreed = int((ours.argmax(1) == theirs.argmax(1)).sum())
    assert 0 < agreed < 64, "else the oracle says nothing"
    assert (found.rows, found.classified, found.agreed) == (64, 64, agreed)
    assert found.largest_difference == pytest.approx(np.abs(ours.astype(np.float64) - theirs).max(), rel=1e-5)
    assert (found.runs.count, found.failed_runs, found.dropped) == (4, 0, 0)


def test_a_regressor_agrees_on_no_class(tmp_path: Path) -> None:
    regressor = echo_bundle("FP32", width=1)
    catalog, statistics = with_shadow(tmp_path, (regressor, regressor)), ServiceStatistics()
    found = statistics.comparisons["fp32", 1, 2]

    async def compare() -> None:
        shadow = Shadow(catalog, statistics)
        shadow.offer(catalog.get("fp32"), {"input": ROWS[:, :1]}, {"logits": ROWS[:, :1] + np.float32(0.5)})
        await counted(found, 1)
        shadow.close()

    asyncio.run(compare())

    assert (found.rows, found.classified, found.agreed) == (64, 0, 0)
    assert found.largest_difference == pytest.approx(0.5)


class Gated:
    """An engine that waits until its gate is open."""

    def __init__(self, engine: Engine, gate: threading.Event) -> None:
        self.provider = engine.provider
        self._engine = engine
        self._gate = gate

    def run(self, inputs: Any, seconds: float = math.inf) -> Any:
        assert self._gate.wait(60), "the gate was not opened"
        return self._engine.run(inputs, seconds)


def test_requests_that_it_cannot_keep_up_with_are_dropped_and_counted(tmp_path: Path) -> None:
    gate = threading.Event()
    catalog = with_shadow(tmp_path, two_versions(), lambda bundle: Gated(start(bundle), gate))
    statistics = ServiceStatistics()
    found = statistics.comparisons["tiny", 1, 2]

    async def compare() -> None:
        shadow = Shadow(catalog, statistics)
        for _ in range(10):
            shadow.offer(
                catalog.get("tiny"), {"input": ROWS}, {"logits": ROWS[:, :2]}
            )  # returns, though the gate is shut
        gate.set()
        await counted(found, 2)
        shadow.close()

    asyncio.run(compare())

    assert (found.runs.count, found.dropped) == (2, 8)


def test_one_that_breaks_is_counted_and_disturbs_nobody(tmp_path: Path) -> None:
    catalog, statistics = with_shadow(tmp_path, two_versions()), ServiceStatistics()
    served = catalog.get("tiny")
    found = statistics.comparisons["tiny", 1, 2]

    async def compare() -> None:
        shadow = Shadow(catalog, statistics)
        shadow.offer(served, {"input": ROWS[:, :3]}, {"logits": ROWS})
        shadow.offer(served, {"input": ROWS}, {"logits": ROWS[:3]})
        await counted(found, 2)
        shadow.close()

    asyncio.run(compare())

    assert (found.rows, found.failed_runs) == (0, 2)
