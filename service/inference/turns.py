"""Whose turn it is among flows of work that share something: deficit round robin.

Each flow has a balance. The first in the ring is served while its balance is above zero, and is charged for it. Then it
gets another quantum and goes to the end of the ring. So each gets the same share, whatever one piece of its work costs
(Shreedhar & Varghese 1996). The time of a run is known only after it, so a balance may fall below zero: this variant is
called surplus round robin (Adiseshu et al. 1996).
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar


class Flow(Protocol):
    """What takes turns.

    Attributes:
        balance: what it may still use in this turn; below zero, what it has used too much.
    """

    balance: float


FlowT = TypeVar("FlowT", bound=Flow)


class RoundRobin(Generic[FlowT]):
    """The flows that have work, in the order of their turns.

    Args:
        quantum: what a flow may use in one turn. Finding the next flow takes as many rounds as the largest cost has
            quanta.
    """

    def __init__(self, quantum: float) -> None:
        self._quantum = quantum
        self._ring: OrderedDict[int, FlowT] = OrderedDict()

    def __len__(self) -> int:
        return len(self._ring)

    def __iter__(self) -> Iterator[FlowT]:
        return iter(self._ring.values())

    def add(self, flow: FlowT) -> None:
        """Add a flow that has work, last in the ring; one that is in it keeps its place."""
        self._ring.setdefault(id(flow), flow)

    def remove(self, flow: FlowT) -> None:
        """Remove a flow that has no work. It keeps its debt, and saves nothing up."""
        del self._ring[id(flow)]
        flow.balance = min(flow.balance, 0.0)

    def charge(self, flow: FlowT, cost: float) -> None:
        """Make a flow pay for its work, or pay back by a cost below zero."""
        flow.balance = min(flow.balance - cost, self._quantum)

    def first(self, is_ready: Callable[[FlowT], bool] = lambda _: True) -> FlowT | None:
        """Returns the flow whose turn it is, of those that are ready; None where there is none."""
        passed = 0
        while passed < len(self._ring):
            identity, flow = next(iter(self._ring.items()))
            if not is_ready(flow):
                passed += 1
            elif flow.balance > 0:
                return flow
            else:
                flow.balance += self._quantum
                passed = 0
            self._ring.move_to_end(identity)
        return None
