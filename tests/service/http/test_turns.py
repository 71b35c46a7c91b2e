"""Work that comes from many connections at once, and tasks that begin together."""

import asyncio
import itertools
from collections.abc import Callable

import pytest

from service.http.timer import Timer
from service.http.turns import SECONDS, Starts, Turns

NUMBER = 10


class Clock:
    """Passes by as much as the work that is done takes."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Works:
    """Numbered pieces of work.

    Args:
        clock: passes while they are done.
        seconds: that each of them takes.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.done: list[int] = []
        self._clock = clock
        self._seconds = seconds

    def __getitem__(self, number: int) -> Callable[[], None]:
        def work() -> None:
            self._clock.now += self._seconds
            self.done.append(number)

        return work

    async def steps(self) -> list[int]:
        """How many are done in each of the next iterations, until all are."""
        found = []
        while len(self.done) < NUMBER:
            before = len(self.done)
            await asyncio.sleep(0)
            found.append(len(self.done) - before)
        return found


def test_an_iteration_does_no_more_than_it_has_time_for_in_the_order_in_which_it_came() -> None:
    works = Works(clock := Clock(), SECONDS / 3.9)

    async def scenario() -> list[int]:
        turns = Turns(clock)
        for number in range(NUMBER):
            turns.run(works[number])
        return [len(works.done), *await works.steps()]

    assert asyncio.run(scenario()) == [4, 4, 2]
    assert works.done == list(range(NUMBER))


def test_what_the_event_loop_does_when_a_piece_is_over_counts() -> None:
    works = Works(clock := Clock(), SECONDS / 7.8)

    async def scenario() -> list[int]:
        turns = Turns(clock)
        for number in range(NUMBER):
            turns.run(works[number], SECONDS / 7.8)
        return [len(works.done), *await works.steps()]

    assert asyncio.run(scenario()) == [4, 4, 2]


@pytest.mark.parametrize("seconds", [0.0, SECONDS / NUMBER / 2])
def test_what_takes_little_is_done_at_once(seconds: float) -> None:
    works = Works(clock := Clock(), seconds)

    async def scenario() -> None:
        turns = Turns(clock)
        for number in range(NUMBER):
            turns.run(works[number])

    asyncio.run(scenario())
    assert works.done == list(range(NUMBER))


def test_one_piece_that_takes_long_is_all_that_an_iteration_does() -> None:
    works = Works(clock := Clock(), 100 * SECONDS)

    async def scenario() -> list[int]:
        turns = Turns(clock)
        for number in range(NUMBER):
            turns.add(works[number])
        return await works.steps()

    assert asyncio.run(scenario()) == [1] * NUMBER


@pytest.mark.parametrize(("seconds", "done"), [(1.5 * SECONDS, [1, 0]), (2.5 * SECONDS, [1])])
def test_what_comes_is_done_before_what_waits_unless_that_takes_all_the_time(seconds: float, done: list[int]) -> None:
    """A health check, say, while hundreds of connections have requests in line."""
    works = Works(clock := Clock(), seconds)

    async def scenario() -> None:
        turns = Turns(clock)
        for number in range(1, NUMBER):
            turns.add(works[number])
        await asyncio.sleep(0)
        turns.run(works[0])
        assert works.done == done
        await works.steps()

    asyncio.run(scenario())


def test_what_is_for_later_is_done_after_what_waits_but_one_in_each_iteration() -> None:
    """A segment of a large body, say, while hundreds of clients have small requests."""
    works = Works(clock := Clock(), SECONDS / 1.9)

    async def scenario() -> None:
        turns = Turns(clock)
        for number in range(6):
            turns.run(works[number])
        for number in range(6, NUMBER):
            turns.add(works[number])
        assert await works.steps() == [3, 3, 2]

    asyncio.run(scenario())
    assert works.done == [0, 1, 2, 3, 6, 4, 5, 7, 8, 9]


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


def test_limits_of_time_that_are_reached_together_are_acted_on_in_turn() -> None:
    works = Works(clock := Clock(), 2 * SECONDS)

    async def scenario() -> list[int]:
        turns = Turns(clock)
        timers = [Timer(asyncio.get_running_loop(), turns) for _ in range(NUMBER + 1)]
        for number, timer in enumerate(timers):
            timer.start(0.0, works[number])
        for _ in range(2):
            await asyncio.sleep(0)
        assert works.done == [0]
        timers[NUMBER].stop()  # while it waits for its turn
        assert not timers[0].is_running
        return await works.steps()

    assert max(asyncio.run(scenario())) == 1
    assert works.done == list(range(NUMBER))


def test_a_timer_that_is_started_again_waits_for_the_new_time() -> None:
    done: list[str] = []

    async def scenario() -> None:
        turns = Turns()
        timer = Timer(asyncio.get_running_loop(), turns)
        timer.start(0.0, lambda: done.append("first"))
        timer.start(0.0, lambda: done.append("second"))  # one is enough
        timer.stop()
        timer.start(1000.0, lambda: done.append("third"))
        for _ in range(5):
            await asyncio.sleep(0)
        assert timer.is_running

    asyncio.run(scenario())
    assert done == []


def test_one_task_starts_in_each_iteration_in_the_order_in_which_they_came() -> None:
    started: list[int] = []

    async def scenario() -> list[int]:
        starts = Starts()

        async def task(number: int) -> None:
            await starts.wait()
            started.append(number)

        tasks = [asyncio.create_task(task(number)) for number in range(NUMBER)]
        after = [0]
        while len(started) < len(tasks) - 1:
            if after[-1] == 1:
                tasks[3].cancel()  # who does not wait any more takes no other's turn
            await asyncio.sleep(0)
            after.append(len(started))
        return after

    after = asyncio.run(scenario())
    assert max(now - before for before, now in itertools.pairwise(after)) == 1
    assert started == [number for number in range(NUMBER) if number != 3]


def test_a_task_that_comes_alone_starts_at_once() -> None:
    async def scenario() -> None:
        starts = Starts()
        for _ in range(3):
            coroutine = starts.wait()
            with pytest.raises(StopIteration):
                coroutine.send(None)
            await asyncio.sleep(0)

    asyncio.run(scenario())
