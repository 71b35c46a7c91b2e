"""Requests that arrive in one iteration of the event loop share a run, and nothing else."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest
import structlog

from models.datatypes import Array
from models.errors import InferenceFailed, RunTooLong
from service.catalog.served_version import ServedVersion
from service.inference import short_runs
from service.inference.batcher import Batcher
from service.inference.limits import Limits
from service.telemetry.statistics import ServiceStatistics
from tests.bundles import tiny_bundle

BAD, ENDLESS = 666.0, 777.0


@dataclass
class ShortEngine:
    """Doubles its input, and expects a tenth of a millisecond a row."""

    runs: list[list[float]] = field(default_factory=list)

    is_row_wise: ClassVar[bool] = True
    is_busy: bool = False

    def expected_seconds(self, rows: int) -> float:
        return rows * 1e-4

    def run(self, inputs: Mapping[str, Array], seconds: float) -> dict[str, Array]:
        assert seconds < 2
        x = inputs["input"]
        self.runs.append(x[:, 0].tolist())
        if (x == ENDLESS).any():
            raise RunTooLong("ended")
        if (x == BAD).any():
            raise InferenceFailed("broken")
        return {"logits": 2 * x}


def serve(engine: ShortEngine, version: int = 1) -> ServedVersion:
    return ServedVersion("tiny", version, tiny_bundle().manifest, engine)  # type: ignore[arg-type]


def rows(value: float, count: int = 1, width: int = 4, dtype: Any = np.float32) -> dict[str, Array]:
    return {"input": np.full((count, width), value, dtype)}


def run(
    *requests: tuple[ServedVersion, dict[str, Array]], statistics: ServiceStatistics | None = None, **limits: Any
) -> list[Any]:
    """The outcomes of requests that arrive together."""
    found: list[Any] = ["none"] * len(requests)

    async def scenario() -> None:
        batcher = Batcher(statistics or ServiceStatistics(), Limits(**{"inline": 1.0, **limits}))
        for place, (served, inputs) in enumerate(requests):
            assert batcher.submit(served, inputs, "client", lambda outcome, at=place: found.__setitem__(at, outcome))
        assert found == ["none"] * len(requests), "a run was not put off"
        await asyncio.sleep(0)

    asyncio.run(scenario())
    return [outcome["logits"][:, 0].tolist() if isinstance(outcome, dict) else outcome for outcome in found]


def test_what_arrives_together_shares_a_run_and_each_gets_its_own_rows() -> None:
    engine, statistics = ShortEngine(), ServiceStatistics()
    served = serve(engine)

    outcomes = run(
        (served, rows(1)), (served, rows(2, 3)), (served, rows(3, 0)), (served, rows(4)), statistics=statistics
    )

    assert outcomes == [[2], [4, 4, 4], [], [8]]
    assert engine.runs == [[1, 2, 2, 2, 4]]
    counted = statistics.of("tiny", 1)
    assert (counted.rows, counted.runs.count, counted.success.count, counted.queue.count) == (5, 1, 4, 4)


@pytest.mark.parametrize(
    ("limits", "runs"),
    [
        ({"max_batch_rows": 2}, [[1, 2], [3, 4], [5]]),
        ({"inline": 3.5e-4}, [[1, 2, 3], [4, 5]]),
        ({}, [[1, 2, 3, 4, 5]]),
    ],
    ids=["rows", "seconds", "none"],
)
def test_a_shared_run_is_bounded(limits: dict[str, Any], runs: list[list[float]]) -> None:
    engine = ShortEngine()
    served = serve(engine)

    assert run(*((served, rows(value)) for value in range(1, 6)), **limits) == [[2], [4], [6], [8], [10]]
    assert engine.runs == runs


def test_only_what_the_graph_cannot_tell_apart_is_joined() -> None:
    engine = ShortEngine()
    one, other = serve(engine, 1), serve(engine, 2)

    run((one, rows(1)), (other, rows(2)), (one, rows(3, width=5)), (one, rows(4, dtype=np.float64)), (one, rows(5)))

    assert sorted(engine.runs) == [[1, 5], [2], [3], [4]]


def test_rows_that_change_each_other_are_never_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ShortEngine, "is_row_wise", False)
    engine = ShortEngine()
    served = serve(engine)

    assert run(*((served, rows(value)) for value in (1, 2))) == [[2], [4]]
    assert engine.runs == [[1], [2]]


def test_a_bad_row_fails_alone() -> None:
    engine, statistics = ShortEngine(), ServiceStatistics()
    served = serve(engine)

    good, bad, last = run((served, rows(1)), (served, rows(BAD)), (served, rows(3)), statistics=statistics)

    assert (good, last) == ([2], [6])
    assert isinstance(bad, InferenceFailed)
    assert engine.runs == [[1, BAD, 3], [1], [BAD], [3]]
    counted = statistics.of("tiny", 1)
    assert (counted.success.count, counted.fail.count, counted.failed_runs) == (2, 1, 2)


def test_a_run_that_takes_too_long_is_left_to_the_queue() -> None:
    served = serve(ShortEngine())

    assert run((served, rows(1)), (served, rows(ENDLESS))) == [None, None]


def test_a_defect_in_one_request_does_not_reach_the_others() -> None:
    outcomes: list[Any] = []

    def defect(_: Any) -> None:
        raise RuntimeError("defect")

    async def scenario() -> None:
        batcher, served = Batcher(ServiceStatistics(), Limits(inline=1.0)), serve(ShortEngine())
        batcher.prepare(lambda: defect(None))
        batcher.submit(served, rows(1), "", defect)
        batcher.submit(served, rows(2), "", outcomes.append)
        await asyncio.sleep(0)

    with structlog.testing.capture_logs() as events:
        asyncio.run(scenario())

    assert [outcome["logits"][0, 0] for outcome in outcomes] == [4]
    assert [event["event"] for event in events] == ["unexpected_error"] * 2


def test_what_would_take_too_long_goes_on_in_the_next_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, so that sockets are read in between, and nobody is overtaken."""
    monkeypatch.setattr(short_runs, "ITERATION_SECONDS", 2.5e-4)
    monkeypatch.setattr(short_runs, "thread_time", lambda: 0.0)
    engine = ShortEngine()

    async def scenario() -> list[int]:
        batcher, served = Batcher(ServiceStatistics(), Limits(inline=1.0)), serve(engine)
        for value in range(5):
            batcher.prepare(lambda value=value: batcher.submit(served, rows(value), "", lambda _: None) and None)
        seen = []
        for _ in range(3):
            await asyncio.sleep(0)
            seen.append(len(engine.runs))
        return seen

    assert asyncio.run(scenario()) == [1, 2, 2]
    assert engine.runs == [[0, 1, 2], [3, 4]]
