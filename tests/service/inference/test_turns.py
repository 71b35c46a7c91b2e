"""Shares of flows whose pieces of work cost different amounts."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.inference.turns import RoundRobin


@dataclass(eq=False)
class Flow:
    """Always has work that costs the same."""

    cost: float
    balance: float = 0.0
    used: float = 0.0


def serve(turns: RoundRobin[Flow], pieces: int) -> list[Flow]:
    served = []
    for _ in range(pieces):
        flow = turns.first()
        assert flow is not None
        turns.charge(flow, flow.cost)
        flow.used += flow.cost
        served.append(flow)
    return served


@given(costs=st.lists(st.floats(0.1, 50), min_size=1, max_size=6))
def test_flows_get_the_same_share_whatever_their_work_costs(costs: list[float]) -> None:
    turns: RoundRobin[Flow] = RoundRobin(quantum=10.0)
    flows = [Flow(cost) for cost in costs]
    for flow in flows:
        turns.add(flow)

    serve(turns, 500)

    used = [flow.used for flow in flows]
    assert max(used) - min(used) <= 2 * 10.0 + 2 * max(costs)  # the bound of deficit round robin, on both sides


def test_flows_with_equal_work_take_turns() -> None:
    turns: RoundRobin[Flow] = RoundRobin(quantum=1.0)
    one, other = Flow(1.0), Flow(1.0)
    turns.add(one)
    turns.add(other)

    assert serve(turns, 4) == [one, other, one, other]


def test_a_flow_that_has_used_too_much_skips_turns_even_if_it_had_no_work_meanwhile() -> None:
    turns: RoundRobin[Flow] = RoundRobin(quantum=1.0)
    heavy, light = Flow(5.0), Flow(1.0)
    turns.add(heavy)
    turns.add(light)
    assert serve(turns, 1) == [heavy]

    turns.remove(heavy)
    turns.add(heavy)

    assert serve(turns, 5) == [light] * 5


def test_a_flow_without_work_saves_nothing_up() -> None:
    turns: RoundRobin[Flow] = RoundRobin(quantum=100.0)
    flow = Flow(1.0)
    turns.add(flow)
    serve(turns, 1)

    turns.remove(flow)

    assert flow.balance == 0


def test_what_was_charged_too_much_is_paid_back() -> None:
    turns: RoundRobin[Flow] = RoundRobin(quantum=1.0)
    flow = Flow(1.0)
    turns.add(flow)
    turns.charge(flow, 9.0)
    turns.charge(flow, -8.5)

    assert flow.balance == -0.5


@pytest.mark.parametrize("ready", [[], [0], [1], [2], [0, 2]])
def test_flows_that_are_not_ready_are_passed_over(ready: list[int]) -> None:
    turns: RoundRobin[Flow] = RoundRobin(quantum=1.0)
    flows = [Flow(1.0) for _ in range(3)]
    for flow in flows:
        turns.add(flow)

    first = turns.first(lambda flow: flows.index(flow) in ready)

    assert (first is None) == (not ready)
    if ready:
        assert first is flows[ready[0]]
