"""Observing rests in proportion to what it took, and to what the process does meanwhile."""

import math
import threading
from time import monotonic

import pytest

from service.watching.budget import ENOUGH_ROWS, Budget

WAIT = 30


class Machine:
    """A machine on which time passes while a thread observes or rests; other threads take a share of one processor."""

    def __init__(self, load: float = 1.0) -> None:
        self.load = load
        self.load_ends = math.inf
        self.now = 1000.0
        self._processor = 0.0

    def processor_clock(self) -> float:
        return self._processor

    def pass_time(self, seconds: float) -> bool:
        self._processor += self.load * max(min(seconds, self.load_ends - self.now), 0.0)
        self.now += seconds
        return False

    def budget(self, percent: float, head_start: float = 0.0) -> Budget:
        return Budget(percent, head_start, lambda: self.now, self.processor_clock, self.pass_time)

    def rest(self, budget: Budget, spent: float, rows: int = 1) -> float:
        self.pass_time(spent)
        self._processor += spent
        began = self.now
        budget.spend(spent, rows)
        return self.now - began


@pytest.mark.parametrize(("load", "rested"), [(3.0, 9.0), (1.0, 9.0), (0.8, 0.92 / 0.08), (0.5, 0.95 / 0.05)])
def test_under_load_the_budget_is_a_share_of_what_the_process_takes(load: float, rested: float) -> None:
    machine = Machine(load)

    assert machine.rest(machine.budget(percent=10), 1.0) == pytest.approx(rested)


@pytest.mark.parametrize(("load", "rested"), [(0.0, 1.0), (0.3, 4.0), (0.4, 9.0)])
def test_what_a_process_leaves_of_a_processor_is_spare(load: float, rested: float) -> None:
    machine = Machine(load)
    budget = machine.budget(percent=1)

    assert machine.rest(budget, 1.0) == pytest.approx(rested)
    assert budget.has_spare_time


def test_in_spare_time_it_observes_enough_rows_and_no_more() -> None:
    machine = Machine(load=0.25)
    budget = machine.budget(percent=0.1)
    machine.rest(budget, 0.1)  # from now on it knows the load
    seconds = sum(machine.rest(budget, 0.01, rows=32) + 0.01 for _ in range(8))
    slow = machine.rest(budget, 0.1, rows=1)

    assert seconds == pytest.approx(256 / ENOUGH_ROWS)
    assert slow == pytest.approx(0.3), "a slow model has all of what is spare"


@pytest.mark.parametrize(("percent", "rested"), [(20, 4.0), (100, 3.0)])
def test_the_share_under_load_is_granted_in_spare_time_as_well(percent: float, rested: float) -> None:
    machine = Machine(load=0.25)

    assert machine.rest(machine.budget(percent), 1.0, rows=10**6) == pytest.approx(rested)


@pytest.mark.parametrize(("percent", "rested"), [(100, 0.0), (50, 2.0), (0.5, 398.0)])
def test_it_rests_in_proportion_to_what_an_observation_took(percent: float, rested: float) -> None:
    machine = Machine()

    assert machine.rest(machine.budget(percent), 2.0) == pytest.approx(rested)


def test_a_rest_ends_when_the_load_does() -> None:
    machine = Machine(load=1.0)
    budget = machine.budget(percent=1)
    assert machine.rest(budget, 1.0) == pytest.approx(99.0)
    assert not budget.has_spare_time

    machine.load_ends = machine.now + 2.0

    assert machine.rest(budget, 1.0) == pytest.approx(1.0 + 0.1 + 1.0, abs=0.1)
    assert budget.has_spare_time


def test_a_process_that_becomes_busy_rests_again() -> None:
    machine = Machine(load=0.0)
    budget = machine.budget(percent=10)
    machine.pass_time(3600.0)
    assert machine.rest(budget, 0.01) == pytest.approx(0.01)
    machine.load = 1.0

    assert machine.rest(budget, 0.01) == pytest.approx(0.01), "too soon to tell"
    assert machine.rest(budget, 0.1) == pytest.approx(0.9, rel=0.01)


def test_it_does_not_rest_for_its_head_start() -> None:
    machine = Machine()
    budget = machine.budget(percent=50, head_start=8.0)

    assert [machine.rest(budget, 3.0) for _ in range(4)] == pytest.approx([0.0, 0.0, 1.0, 3.0])


def test_closing_ends_a_rest() -> None:
    budget = Budget(percent=1e-6, processor_clock=lambda: 1e9 * monotonic())  # of a process that is busy
    resting = threading.Thread(target=budget.spend, args=(1.0, 1), daemon=True)
    resting.start()
    budget.close()
    resting.join(WAIT)

    assert not resting.is_alive(), "a closed budget still rests"
