"""Who runs next, and who gives up a place: by model, priority and client."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.catalog.served_version import ServedVersion
from service.inference.queue import QueuedRequest
from service.inference.scheduler import Scheduler
from tests.bundles import tiny_bundle

MANIFEST = tiny_bundle().manifest


@dataclass
class Engine:
    """Is only asked how long a row takes."""

    seconds: float

    is_row_wise: ClassVar[bool] = True

    def expected_seconds(self, rows: int) -> float:
        return rows * self.seconds


def version(model: str, seconds: float = 0.1) -> ServedVersion:
    return ServedVersion(model, 1, MANIFEST, Engine(seconds))  # type: ignore[arg-type]


def row(rows: int = 1, width: int = 4) -> dict[str, np.ndarray]:
    return {"input": np.zeros((rows, width), np.float32)}


def in_loop(scenario: Callable[[], Any]) -> Any:
    """Requests belong to an event loop."""

    async def run() -> Any:
        return scenario()

    return asyncio.run(run())


def take(scheduler: Scheduler, max_rows: int = 1) -> list[QueuedRequest]:
    queue = scheduler.next_queue(lambda _: True)
    assert queue is not None
    batch = scheduler.take_batch(queue, max_rows)
    scheduler.finish(batch, sum(request.seconds for request in batch))
    return batch


def test_models_share_the_time_of_runs_and_not_their_number() -> None:
    def scenario() -> list[str]:
        scheduler, slow, fast = Scheduler(999, 1), version("slow", 0.1), version("fast", 0.01)
        for served in [slow] * 40 + [fast] * 200:
            scheduler.push(served, row(), "a", 0)
        return [take(scheduler)[0].served.model for _ in range(110)]

    order = in_loop(scenario)

    assert 9 <= order.count("slow") <= 11
    longest = max(len(part) for part in "".join("s" if model == "slow" else "f" for model in order).split("f"))
    assert longest == 1  # never two slow runs in a row


def test_a_run_that_took_longer_than_expected_is_charged_what_it_took() -> None:
    def scenario() -> list[str]:
        scheduler, wrong, right = Scheduler(999, 1), version("wrong", 0.01), version("right", 0.01)
        for served in [wrong, right] * 50:
            scheduler.push(served, row(), "a", 0)
        order = []
        for _ in range(44):
            queue = scheduler.next_queue(lambda _: True)
            assert queue is not None
            batch = scheduler.take_batch(queue, 1)
            order.append(batch[0].served.model)
            scheduler.finish(batch, 0.1 if order[-1] == "wrong" else 0.01)
        return order

    assert 3 <= in_loop(scenario).count("wrong") <= 5


def test_clients_of_a_model_take_turns_also_within_a_batch() -> None:
    def scenario() -> list[list[str]]:
        scheduler, served = Scheduler(999, 1), version("m")
        for client in ["flood"] * 100 + ["one"] * 4 + ["two"] * 4:
            scheduler.push(served, row(), client, 0)
        return [[request.client for request in take(scheduler, 9)] for _ in range(2)]

    first, second = in_loop(scenario)

    assert [first.count(client) for client in ("flood", "one", "two")] == [3, 3, 3]
    assert [second.count(client) for client in ("flood", "one", "two")] == [7, 1, 1]


def test_a_client_of_other_shapes_gets_its_turn() -> None:
    def scenario() -> list[str]:
        scheduler, served = Scheduler(999, 1), version("m")
        for _ in range(100):
            scheduler.push(served, row(rows=32), "flood", 0)
        for _ in range(3):
            scheduler.push(served, row(rows=32, width=5), "other", 0)
        return [take(scheduler, 32)[0].client for _ in range(6)]

    assert in_loop(scenario) == ["flood", "other"] * 3


def test_priorities_come_first_and_are_joined_with_those_below() -> None:
    def scenario() -> list[list[int]]:
        scheduler, served = Scheduler(999, 1), version("m")
        for priority in (0, 2, 1, 0):
            scheduler.push(served, row(), "a", priority)
        return [[request.priority for request in take(scheduler, 3)] for _ in range(2)]

    assert in_loop(scenario) == [[1, 2, 2**32], [2**32]]


def fill(scheduler: Scheduler, *waiting: tuple[ServedVersion, str, int]) -> list[QueuedRequest]:
    return [scheduler.push(served, row(), client, priority) for served, client, priority in waiting]


SLOW, FAST = version("slow", 0.1), version("fast", 0.01)


@pytest.mark.parametrize(
    ("waiting", "newcomer", "evicted"),
    [
        pytest.param([(SLOW, "a", 0)] * 4, ("fast", "a", 0), 3, id="the youngest of the model with the largest share"),
        pytest.param([(SLOW, "a", 0)] * 4, ("slow", "a", 0), None, id="of the same model, client and priority"),
        pytest.param([(SLOW, "a", 0)] * 4, ("slow", "b", 0), 3, id="for a client that has nothing waiting"),
        pytest.param([(SLOW, "a", 0), (SLOW, "b", 0)], ("slow", "b", 0), None, id="clients that have as much"),
        pytest.param([(SLOW, "a", 0)] * 4, ("slow", "a", 1), 3, id="for a priority"),
        pytest.param([(SLOW, "a", 0), (SLOW, "a", 2)], ("slow", "a", 1), 0, id="the lowest priority first"),
        pytest.param([(SLOW, "a", 1), (SLOW, "b", 1)], ("slow", "c", 0), None, id="a lower priority"),
        pytest.param([(SLOW, "a", 1)] * 4, ("fast", "a", 0), 3, id="a model's share is not won by priorities"),
        pytest.param([(FAST, "a", 0)] * 20, ("slow", "a", 0), 19, id="a slow model that has nothing waiting"),
        pytest.param([(FAST, "a", 0)] * 5 + [(SLOW, "a", 0)], ("fast", "a", 0), None, id="a model's only request"),
        pytest.param([(FAST, "a", 0)] * 19 + [(SLOW, "a", 0)], ("slow", "b", 0), 18, id="by seconds and not by number"),
        pytest.param([], ("slow", "a", 1), None, id="nothing waits"),
    ],
)
def test_who_gives_up_its_place(
    waiting: list[tuple[ServedVersion, str, int]], newcomer: tuple[str, str, int], evicted: int | None
) -> None:
    def scenario() -> int | None:
        scheduler = Scheduler(len(waiting), 1)
        requests = fill(scheduler, *waiting)
        assert scheduler.is_full
        yields = scheduler.choose_evicted(*newcomer)
        return None if yields is None else requests.index(yields)

    assert in_loop(scenario) == evicted


def test_the_expected_wait_is_that_of_the_models_share() -> None:
    def scenario() -> list[float]:
        scheduler = Scheduler(999, 2)
        fill(scheduler, *[(SLOW, "a", 0)] * 10, *[(FAST, "a", 0)] * 10)
        return [scheduler.expected_wait(model) for model in ("slow", "fast", "other")]

    assert in_loop(scenario) == pytest.approx([0.55, 0.1, 0.0])


CLIENTS = st.sampled_from(["a", "b", "c"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.sampled_from([SLOW, FAST]), CLIENTS, st.integers(0, 2), st.integers(0, 5)),
        st.tuples(st.just("discard"), st.integers(0, 99)),
        st.tuples(st.just("take"), st.integers(1, 8)),
    ),
    max_size=60,
)


@settings(max_examples=200)
@given(STEPS)
def test_every_request_leaves_once_and_batches_hold_what_may_share_a_run(steps: list[tuple[Any, ...]]) -> None:
    def scenario() -> None:
        scheduler, waiting, numbers = Scheduler(999, 1), {}, count()
        for kind, *arguments in steps:
            if kind == "push":
                served, client, priority, rows = arguments
                request = scheduler.push(served, row(rows, width=4 + rows % 2), client, priority)
                waiting[request] = next(numbers)
            elif kind == "discard" and waiting:
                request = list(waiting)[arguments[0] % len(waiting)]
                scheduler.discard(request)
                scheduler.discard(request)
                del waiting[request]
            elif kind == "take" and waiting:
                batch = take(scheduler, arguments[0])
                assert len({request.batch_key for request in batch}) == 1
                assert len(batch) == 1 or sum(request.rows for request in batch) <= arguments[0]
                rivals = [request for request in waiting if request.served is batch[0].served]
                assert batch[0].priority == min(request.priority for request in rivals)
                for request in batch:
                    of_client = [
                        waiting[rival]
                        for rival in rivals
                        if (rival.client, rival.priority, rival.batch_key)
                        == (request.client, request.priority, request.batch_key)
                    ]
                    assert waiting.pop(request) == min(of_client)
                    rivals.remove(request)
            assert len(scheduler) == len(waiting)
        while waiting:
            for request in take(scheduler, 3):
                del waiting[request]
        assert scheduler.next_queue(lambda _: True) is None
        assert scheduler.running == 0

    in_loop(scenario)


def test_ten_thousand_requests_are_queued_and_discarded_in_steps_that_do_not_grow() -> None:
    def steps_of(requests: int) -> int:
        """Comparisons and look-ups are counted by what a client's name is asked."""
        asked = 0

        class Name(str):
            __slots__ = ()

            def __hash__(self) -> int:
                nonlocal asked
                asked += 1
                return super().__hash__()

            def __eq__(self, other: object) -> bool:
                return super().__eq__(other)

        def scenario() -> None:
            scheduler = Scheduler(requests, 1)
            queued = [scheduler.push(SLOW, row(), Name(f"client {number}"), 0) for number in range(requests)]
            for request in queued[1::2]:
                scheduler.choose_evicted("slow", Name("another"), 0)
                scheduler.discard(request)
            while len(scheduler):
                take(scheduler, 8)

        in_loop(scenario)
        return asked

    assert steps_of(2_000) <= 2 * steps_of(1_000) + 100
