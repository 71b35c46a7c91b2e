"""Connections with more to parse."""

import asyncio

import pytest

from service.http.turns import Turns


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
