"""Connections with more to parse, and tasks that begin together."""

import asyncio
import itertools

import pytest

from service.http.turns import MAX_STARTS, Starts, Turns


def test_a_few_go_on_in_each_iteration_in_the_order_in_which_they_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.http.turns.MAX_AT_ONCE", 3)
    done: list[int] = []

    async def scenario() -> list[int]:
        turns = Turns()
        for number in range(10):
            turns.add(lambda number=number: done.append(number))
        after = []
        for _ in range(6):
            await asyncio.sleep(0)
            after.append(len(done))
        return after

    after = asyncio.run(scenario())
    steps = [now - before for before, now in zip([0, *after], after, strict=False)]
    assert max(steps) == 3
    assert done == list(range(10))


def test_one_that_raises_keeps_no_other_from_its_turn() -> None:
    done: list[str] = []

    async def scenario() -> None:
        errors: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context["exception"]))
        turns = Turns()
        turns.add(lambda: 1 / 0)  # type: ignore[arg-type, return-value]
        turns.add(lambda: done.append("next"))
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(errors) == 1

    asyncio.run(scenario())
    assert done == ["next"]


def test_a_few_tasks_start_in_each_iteration_in_the_order_in_which_they_came() -> None:
    started: list[int] = []

    async def scenario() -> list[int]:
        starts = Starts()

        async def task(number: int) -> None:
            await starts.wait()
            started.append(number)

        tasks = [asyncio.create_task(task(number)) for number in range(5 * MAX_STARTS)]
        after = [0]
        while len(started) < len(tasks) - 1:
            if after[-1] == MAX_STARTS:
                tasks[2 * MAX_STARTS].cancel()  # who does not wait any more takes no other's turn
            await asyncio.sleep(0)
            after.append(len(started))
        return after

    after = asyncio.run(scenario())
    assert max(now - before for before, now in itertools.pairwise(after)) == MAX_STARTS
    assert started == [number for number in range(5 * MAX_STARTS) if number != 2 * MAX_STARTS]


def test_a_task_that_comes_alone_starts_at_once() -> None:
    async def scenario() -> None:
        starts = Starts()
        for _ in range(3):
            coroutine = starts.wait()
            with pytest.raises(StopIteration):
                coroutine.send(None)
            await asyncio.sleep(0)

    asyncio.run(scenario())
