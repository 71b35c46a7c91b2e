"""Joining requests, bounding them, and keeping them out of each other's way."""

import asyncio
import math
import threading
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.datatypes import DATATYPES, Datatype, to_numpy
from models.errors import ClientDisconnected, InferenceFailed, Overloaded, RunTooLong
from models.manifest import Batching
from models.runtime.engine import Engine
from service.catalog.served_version import ServedVersion
from service.inference.batcher import Batcher
from service.inference.limits import Limits
from service.telemetry.statistics import ServiceStatistics
from tests import hostile
from tests.bundles import echo_bundle, tiny_bundle

BAD = 666.0
"""A value in a row that breaks the run."""


@dataclass
class FakeEngine:
    """Doubles its input, when it is let, and remembers its runs."""

    provider: str = "none"
    seconds: float = 1.0
    gate: threading.Event = field(default_factory=threading.Event)
    runs: list[np.ndarray] = field(default_factory=list)
    learned: list[int] = field(default_factory=list)

    is_row_wise: ClassVar[bool] = True
    is_busy: bool = False

    def expected_seconds(self, _rows: int) -> float:
        return self.seconds

    def learn(self, rows: int, seconds: float) -> None:
        assert seconds > 0
        self.learned.append(rows)

    def run(self, inputs: dict[str, np.ndarray], _seconds: float = math.inf) -> dict[str, np.ndarray]:
        assert self.gate.wait(60)
        x = inputs["input"]
        self.runs.append(x)
        if (x == BAD).any():
            raise InferenceFailed("broken")
        return {"logits": 2 * x}

    @property
    def rows(self) -> list[list[float]]:
        """The first value of each row, run by run."""
        return [x[:, 0].tolist() for x in self.runs]


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


def serve(engine: Any, **batching: Any) -> ServedVersion:
    manifest = tiny_bundle().manifest.model_copy(update={"batching": Batching(**batching) if batching else None})
    return ServedVersion("tiny", 1, manifest, engine)


def row(value: float, rows: int = 1, width: int = 4, dtype: Any = np.float32) -> dict[str, np.ndarray]:
    return {"input": np.full((rows, width), value, dtype)}


def batcher(statistics: ServiceStatistics | None = None, **limits: Any) -> Batcher:
    return Batcher(statistics or ServiceStatistics(), Limits(**{"concurrency": 1, "inline": 0.0, **limits}))


def play(scenario: Coroutine[Any, Any, Any]) -> Any:
    async def within_a_minute() -> Any:
        try:
            return await asyncio.wait_for(scenario, 60)
        except TimeoutError:
            pytest.fail("a request was never answered")

    return asyncio.run(within_a_minute())


async def submit(
    batcher: Batcher, served: ServedVersion, *inputs: dict[str, np.ndarray], **options: Any
) -> list[asyncio.Task]:
    """Start these requests in this order, as far as the queue."""
    tasks = [asyncio.create_task(batcher.run(served, each, **options)) for each in inputs]
    await asyncio.sleep(0)
    return tasks


def test_an_idle_batcher_runs_a_request_at_once_and_joins_what_came_meanwhile(engine: FakeEngine) -> None:
    async def scenario() -> list[Any]:
        under_test, served = batcher(max_batch_rows=3), serve(engine)
        tasks = await submit(under_test, served, *(row(value) for value in range(5)))
        engine.gate.set()
        return await asyncio.gather(*tasks)

    answers = play(scenario())

    assert [answer["logits"][0, 0] for answer in answers] == [0, 2, 4, 6, 8]
    assert engine.rows == [[0], [1, 2, 3], [4]]


def test_a_short_run_is_done_at_once_without_a_thread(engine: FakeEngine) -> None:
    engine.seconds = 0.0001
    engine.gate.set()

    async def scenario() -> set[threading.Thread]:
        before = set(threading.enumerate())  # those of other tests may end meanwhile
        await batcher(inline=0.001).run(serve(engine), row(1))
        return set(threading.enumerate()) - before

    assert not play(scenario())


def test_a_run_that_does_not_end_leaves_the_event_loop_and_is_ended() -> None:
    bundle = hostile.endless_on_ones()
    engine = Engine(bundle.folded, bundle.manifest.inputs, run_seconds=0.3)
    served = ServedVersion("moody", 1, bundle.manifest, engine)

    async def scenario() -> Any:
        under_test = batcher(inline=0.001)
        with pytest.raises(RunTooLong, match=r"did not finish within 0\.3 s"):
            await under_test.run(served, row(1, width=2))
        submitted = under_test.submit(served, row(0, width=2), "", lambda _: None)
        assert not submitted, "nothing is run on the event loop for a while"
        return await under_test.run(served, row(0, width=2))

    assert (play(scenario())["logits"] == 0).all()


@pytest.mark.parametrize(
    ("own", "runs"), [(2, [[0], [1, 2], [3, 4]]), (9, [[0], [1, 2, 3, 4]]), (None, [[0], [1, 2, 3], [4]])]
)
def test_what_a_model_says_of_its_batches_wins_over_the_settings(
    engine: FakeEngine, own: int | None, runs: list[list[float]]
) -> None:
    async def scenario() -> None:
        tasks = await submit(
            batcher(max_batch_rows=3), serve(engine, max_batch_rows=own), *(row(value) for value in range(5))
        )
        engine.gate.set()
        await asyncio.gather(*tasks)

    play(scenario())

    assert engine.rows == runs


def _run_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("run")}


def test_a_model_can_have_its_own_threshold_for_threads(engine: FakeEngine) -> None:
    engine.gate.set()

    async def scenario() -> list[int]:
        started = []
        for own in (serve(engine, inline_ms=2000.0), serve(engine)):
            before = _run_threads()
            await batcher(inline=0.5).run(own, row(1))
            started.append(len(_run_threads() - before))
        return started

    assert play(scenario()) == [0, 1]


def test_a_model_can_have_its_own_wait(engine: FakeEngine) -> None:
    async def scenario() -> list[int]:
        waiting = []
        for settings, own in ((3600.0, 0.0), (0.0, 3.6e4)):
            under_test, served = batcher(concurrency=2, batch_wait=settings), serve(engine, batch_wait_ms=own)
            tasks = await submit(under_test, served, row(0), row(1))
            waiting.append(under_test.queued)
            engine.gate.set()
            await asyncio.gather(*tasks)
            engine.gate.clear()
        return waiting

    assert play(scenario()) == [0, 1]


def test_different_shapes_and_types_never_share_a_batch(engine: FakeEngine) -> None:
    kinds = [row(1), row(2, width=5), row(3, dtype=np.float64), row(4), row(5, width=5)]

    async def scenario() -> None:
        tasks = await submit(batcher(), serve(engine), row(0), *kinds)
        engine.gate.set()
        await asyncio.gather(*tasks)

    play(scenario())

    assert engine.rows == [[0], [1, 4], [2, 5], [3]]


def test_two_versions_never_share_a_batch(engine: FakeEngine) -> None:
    async def scenario() -> None:
        under_test, one, other = batcher(), serve(engine), serve(engine)
        tasks = [*await submit(under_test, one, row(0), row(1)), *await submit(under_test, other, row(2), row(3))]
        engine.gate.set()
        await asyncio.gather(*tasks)

    play(scenario())

    assert engine.rows == [[0], [1], [2, 3]]


def test_one_bad_row_fails_alone(engine: FakeEngine) -> None:
    async def scenario() -> list[Any]:
        tasks = await submit(batcher(), serve(engine), row(0), row(1), row(BAD), row(3))
        engine.gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    answers = play(scenario())

    assert isinstance(answers[2], InferenceFailed)
    assert [answers[i]["logits"][0, 0] for i in (0, 1, 3)] == [0, 2, 6]


def test_a_batch_that_cannot_even_be_joined_leaves_nobody_waiting(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(_arrays: Any) -> None:
        raise MemoryError

    async def scenario() -> list[Any]:
        tasks = await submit(batcher(), serve(engine), row(0), row(1), row(2))
        monkeypatch.setattr(np, "concatenate", out_of_memory)
        engine.gate.set()
        return await asyncio.gather(*tasks)

    assert [answer["logits"][0, 0] for answer in play(scenario())] == [0, 2, 4]


@pytest.mark.parametrize("cancelled", range(4))
def test_a_cancelled_caller_leaves_and_takes_no_other_along(engine: FakeEngine, cancelled: int) -> None:
    async def scenario() -> tuple[list[Any], int]:
        under_test = batcher()
        tasks = await submit(under_test, serve(engine), *(row(value) for value in range(4)))
        tasks[cancelled].cancel()
        await asyncio.sleep(0)
        waiting = under_test.queued
        engine.gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True), waiting

    answers, waiting = play(scenario())

    assert waiting == (3 if cancelled == 0 else 2)
    assert isinstance(answers[cancelled], asyncio.CancelledError)
    assert all(answers[i]["logits"][0, 0] == 2 * i for i in range(4) if i != cancelled)
    if cancelled:
        assert cancelled not in engine.rows[1]


def test_a_caller_that_is_cancelled_while_its_batch_runs_strands_nobody(engine: FakeEngine) -> None:
    async def scenario() -> list[Any]:
        under_test, served = batcher(), serve(engine)
        first = await submit(under_test, served, row(0))
        rest = await submit(under_test, served, row(1), row(2))
        engine.gate.set()
        await first[0]
        rest[0].cancel()
        return await asyncio.gather(*rest, return_exceptions=True)

    assert play(scenario())[1]["logits"][0, 0] == 4


def test_more_than_may_wait_is_refused_at_once_and_the_rest_is_answered(engine: FakeEngine) -> None:
    async def scenario() -> list[Any]:
        statistics = ServiceStatistics()
        under_test, served = batcher(statistics, max_pending=3), serve(engine)
        tasks = await submit(under_test, served, row(0), row(1), row(2))
        with pytest.raises(Overloaded):
            await under_test.run(served, row(3))
        assert statistics.pending == 3
        engine.gate.set()
        return [*await asyncio.gather(*tasks), await under_test.run(served, row(4))]

    assert len(play(scenario())) == 4


def test_a_request_that_gives_up_its_place_is_refused_and_the_other_one_runs(engine: FakeEngine) -> None:
    async def scenario() -> tuple[list[Any], ServiceStatistics]:
        statistics = ServiceStatistics()
        under_test, served = batcher(statistics, max_pending=3, max_batch_rows=1), serve(engine)
        tasks = await submit(under_test, served, row(0), row(1), row(2), client="flood")
        assert not under_test.has_place(served, "flood", 0)
        assert under_test.has_place(served, "other", 0)
        tasks += await submit(under_test, served, row(3), client="other")
        assert statistics.pending == 4  # the one that was evicted has not been told yet
        engine.gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True), statistics

    (_, _, evicted, _), statistics = play(scenario())

    assert isinstance(evicted, Overloaded)
    assert engine.rows == [[0], [1], [3]]
    assert statistics.of("tiny", 1).refused == {"evicted": 1}


def test_a_full_queue_has_a_place_for_what_runs_at_once(engine: FakeEngine) -> None:
    async def scenario() -> list[bool]:
        quick = serve(FakeEngine(seconds=0.0001))
        under_test = batcher(max_pending=1, inline=0.001)
        tasks = await submit(under_test, serve(engine), row(0))
        places = [under_test.has_place(served, "a", 0) for served in (quick, serve(engine))]
        engine.gate.set()
        await asyncio.gather(*tasks)
        return places

    assert play(scenario()) == [True, False]


def test_a_model_that_lets_its_batch_wait_keeps_no_other_one_waiting(engine: FakeEngine) -> None:
    async def scenario() -> int:
        under_test = batcher(concurrency=2)
        patient = ServedVersion("patient", 1, serve(engine, batch_wait_ms=3.6e4).manifest, engine)
        tasks = await submit(under_test, serve(engine), row(0))
        tasks += await submit(under_test, patient, row(1))
        assert under_test.queued == 1
        tasks += await submit(under_test, serve(engine), row(2))
        waiting = under_test.queued
        engine.gate.set()
        await asyncio.gather(*tasks)
        return waiting

    assert play(scenario()) == 1


def test_cancelled_requests_leave_room_in_the_queue(engine: FakeEngine) -> None:
    async def scenario() -> list[int]:
        under_test, served, waiting = batcher(max_pending=2), serve(engine), []
        first = await submit(under_test, served, row(0))
        for _ in range(10):
            (task,) = await submit(under_test, served, row(1))
            task.cancel()
            await asyncio.sleep(0)
            waiting.append(under_test.queued)
        engine.gate.set()
        answers = await asyncio.gather(*first, under_test.run(served, row(2)))
        return [*waiting, *(answer["logits"][0, 0] for answer in answers)]

    assert play(scenario()) == [*[0] * 10, 0, 4]


def test_the_higher_priority_runs_first(engine: FakeEngine) -> None:
    async def scenario() -> None:
        under_test, served = batcher(max_batch_rows=1), serve(engine)
        tasks = await submit(under_test, served, row(0))
        for value, priority in ((1, 0), (2, 2), (3, 1)):
            tasks += await submit(under_test, served, row(value), priority=priority)
        engine.gate.set()
        await asyncio.gather(*tasks)

    play(scenario())

    assert engine.rows == [[0], [3], [2], [1]]


def test_a_request_whose_patience_ends_in_the_queue_is_refused_and_not_run(engine: FakeEngine) -> None:
    async def scenario() -> None:
        under_test, served = batcher(), serve(engine)
        tasks = await submit(under_test, served, row(0))
        with pytest.raises(Overloaded, match="timeout"):
            await under_test.run(served, row(1), timeout=0.0)
        engine.gate.set()
        await asyncio.gather(*tasks)

    play(scenario())

    assert engine.rows == [[0]]


def test_a_caller_that_goes_away_leaves_the_queue_and_is_not_run(engine: FakeEngine) -> None:
    async def scenario() -> None:
        under_test, served, leave = batcher(), serve(engine), asyncio.Event()
        tasks = await submit(under_test, served, row(0))
        tasks += await submit(under_test, served, row(1), disconnected=leave.wait)
        tasks += await submit(under_test, served, row(2), disconnected=asyncio.Event().wait)
        leave.set()
        with pytest.raises(ClientDisconnected):
            await tasks.pop(1)
        engine.gate.set()
        await asyncio.gather(*tasks)

    play(scenario())

    assert engine.rows == [[0], [2]]


def test_a_batch_waits_for_more_only_while_another_run_keeps_the_machine_busy(engine: FakeEngine) -> None:
    async def scenario() -> None:
        under_test, served = batcher(concurrency=2, batch_wait=3600.0, max_batch_rows=2), serve(engine)
        tasks = await submit(under_test, served, row(0))
        tasks += await submit(under_test, served, row(1))
        assert under_test.queued == 1  # a thread is free, but it waits for company
        tasks += await submit(under_test, served, row(2))
        assert under_test.queued == 0  # full
        engine.gate.set()
        await asyncio.gather(*tasks)

    play(scenario())

    assert sorted(engine.rows) == [[0], [1, 2]]


def test_a_batch_stops_waiting_when_nothing_runs_any_more(engine: FakeEngine) -> None:
    async def scenario() -> None:
        under_test, served = batcher(concurrency=2, batch_wait=3600.0), serve(engine)
        tasks = await submit(under_test, served, row(0), row(1))
        engine.gate.set()
        await asyncio.gather(*tasks)

    play(scenario())

    assert engine.rows == [[0], [1]]


def test_the_engine_learns_from_the_runs_in_threads(engine: FakeEngine) -> None:
    async def ask() -> None:
        engine.gate.set()
        under_test = batcher()
        await under_test.run(serve(engine), row(1))
        await under_test.run(serve(engine), row(1, rows=3))

    asyncio.run(ask())

    assert engine.learned == [1, 3]


@pytest.mark.parametrize("inline", [0.0, 3600.0], ids=["in a thread", "inline"])
def test_runs_and_requests_are_counted(engine: FakeEngine, inline: float) -> None:
    engine.gate.set()
    statistics = ServiceStatistics()
    served = serve(engine)

    async def scenario() -> None:
        under_test = Batcher(statistics, Limits(inline=inline))
        with pytest.raises(InferenceFailed):
            await under_test.run(served, row(BAD))
        await under_test.run(served, row(1, rows=3))
        under_test.close()

    play(scenario())
    counted = statistics.of(served.model, served.version)

    assert (counted.runs.count, counted.failed_runs, counted.rows) == (1, 1, 3)
    assert (counted.success.count, counted.fail.count, counted.queue.count) == (1, 1, 1)
    assert counted.success.seconds >= counted.runs.seconds > 0
    assert statistics.pending == 0


@given(
    sizes=st.lists(st.integers(0, 5), min_size=1, max_size=12),
    pauses=st.lists(st.booleans(), min_size=12, max_size=12),
    concurrency=st.integers(1, 3),
    max_batch_rows=st.integers(1, 8),
    seed=st.integers(0, 2**32 - 1),
)
def test_answers_equal_unbatched_ones_whatever_arrives_when(
    sizes: list[int], pauses: list[bool], concurrency: int, max_batch_rows: int, seed: int
) -> None:
    bundle = tiny_bundle()
    served = ServedVersion("tiny", 1, bundle.manifest, ENGINE)
    generator = np.random.default_rng(seed)
    requests = [{"input": generator.normal(scale=3, size=(size, 4)).astype(np.float32)} for size in sizes]

    async def scenario() -> list[Any]:
        under_test = batcher(concurrency=concurrency, max_batch_rows=max_batch_rows)
        tasks = []
        for request, pause in zip(requests, pauses, strict=False):
            tasks.append(asyncio.create_task(under_test.run(served, request)))
            if pause:
                await asyncio.sleep(0)
        answers = await asyncio.gather(*tasks)
        under_test.close()
        return answers

    for request, answer in zip(requests, play(scenario()), strict=True):
        np.testing.assert_allclose(answer["logits"], ENGINE.run(request)["logits"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("datatype", DATATYPES)
def test_every_datatype_can_be_joined_and_rows_of_none_among_them(engine: FakeEngine, datatype: Datatype) -> None:
    bundle = echo_bundle(datatype)
    real = Engine(bundle.folded, bundle.manifest.inputs)
    runs: list[int] = []

    def run(inputs: dict[str, np.ndarray], seconds: float = math.inf) -> dict[str, np.ndarray]:
        assert engine.gate.wait(60)
        runs.append(len(inputs["input"]))
        return real.run(inputs, seconds)

    engine.run = run
    one: Any = "1" if datatype == "BYTES" else 1
    sent = [np.full((rows, 2), one, to_numpy(datatype)) for rows in (1, 0, 2, 0, 3)]

    async def scenario() -> list[Any]:
        under_test, served = batcher(), ServedVersion(datatype, 1, bundle.manifest, engine)
        tasks = await submit(under_test, served, *({"input": values} for values in sent))
        engine.gate.set()
        return await asyncio.gather(*tasks)

    answers = play(scenario())

    assert runs == [1, 5]
    for values, answer in zip(sent, answers, strict=True):
        assert answer["logits"].dtype == values.dtype
        assert answer["logits"].shape == values.shape
        assert answer["logits"].tolist() == values.tolist()


ENGINE = Engine(tiny_bundle().folded, tiny_bundle().manifest.inputs)
