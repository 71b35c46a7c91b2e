"""Observing rests in proportion to what it took, and to what the process does meanwhile."""

import threading

import pytest

from service.watching.budget import Budget

WAIT = 30


class Machine:
    """A machine whose clock only moves while a budget rests, and a process that takes a share of one processor."""

    def __init__(self, share: float = 1.0) -> None:
        self.now = 1000.0
        self._share = share

    def clock(self) -> float:
        return self.now

    def processor_clock(self) -> float:
        return self._share * self.now

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return False

    def budget(self, percent: float, head_start: float = 0.0) -> Budget:
        return Budget(percent, head_start, self.clock, self.processor_clock, self.wait)

    def rest(self, budget: Budget, spent: float) -> float:
        began = self.now
        budget.spend(spent)
        return self.now - began


@pytest.mark.parametrize(("share", "rested"), [(2.0, 9.0), (1.0, 9.0), (0.5, 18.0), (0.1, 45.0), (0.0, 45.0)])
def test_the_budget_is_a_share_of_the_time_and_of_what_the_process_does(share: float, rested: float) -> None:
    machine = Machine(share)

    assert machine.rest(machine.budget(percent=10), 1.0) == pytest.approx(rested)


@pytest.mark.parametrize(("percent", "rested"), [(100, 0.0), (50, 2.0), (0.5, 398.0)])
def test_it_rests_in_proportion_to_what_an_observation_took(percent: float, rested: float) -> None:
    machine = Machine()

    assert machine.rest(machine.budget(percent), 2.0) == pytest.approx(rested)


def test_it_does_not_rest_for_its_head_start() -> None:
    machine = Machine()
    budget = machine.budget(percent=50, head_start=8.0)

    assert [machine.rest(budget, 3.0) for _ in range(4)] == [0.0, 0.0, 3.0, 3.0]


def test_closing_ends_a_rest() -> None:
    budget = Budget(percent=1e-6)
    resting = threading.Thread(target=budget.spend, args=(1.0,), daemon=True)
    resting.start()
    budget.close()
    resting.join(WAIT)

    assert not resting.is_alive(), "a closed budget still rests"
