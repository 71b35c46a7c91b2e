"""A random sample of bounded size from a stream of rows, in which each client has at most a share."""

import random
import time
from bisect import insort
from collections import Counter
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Generic, NamedTuple, TypeVar

Row = TypeVar("Row")


class Sample(NamedTuple, Generic[Row]):
    """A row that is kept.

    Attributes:
        drawn: the number that it has drawn.
        offered_at: when it was offered, in seconds since 1970: the clocks of replicas are compared.
        client: who has sent it.
        row: the row itself.
    """

    drawn: float
    offered_at: float
    client: str
    row: Row


class Reservoir(Generic[Row]):
    """Keeps a uniform random sample of each client's rows.

    Every row draws a number. Of each client the rows with the smallest numbers stay, up to its share; of all these, the
    rows with the smallest numbers stay, up to the capacity. A row that was dropped is never needed again, so at most
    `capacity` rows are held.

    Args:
        capacity: rows to keep.
        per_client: rows of one client to keep.
        draw: a number from 0 to 1, evenly distributed.
        now: seconds since 1970.

    Attributes:
        seen: how many rows were offered.
    """

    def __init__(
        self,
        capacity: int,
        per_client: int,
        draw: Callable[[], float] = random.random,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._capacity = capacity
        self._per_client = per_client
        self._draw = draw
        self._now = now
        self._kept: list[Sample[Row]] = []
        self._count_by_client: Counter[str] = Counter()
        self.seen = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def rows(self) -> list[Row]:
        """The rows that are kept, in the order in which they were offered."""
        return [sample.row for sample in sorted(self._kept, key=attrgetter("offered_at"))]

    def offer(self, client: str, copy_row: Callable[[], Row]) -> None:
        """Keep or drop a row.

        Args:
            client: who has sent it.
            copy_row: makes the copy that is kept; not called for a row that is dropped.
        """
        self.seen += 1
        self._keep(self._draw(), self._now, client, copy_row)

    @property
    def samples(self) -> list[Sample[Row]]:
        """The rows that are kept, for `merge`."""
        return list(self._kept)

    def merge(self, samples: Iterable[Sample[Row]], seen: int) -> None:
        """Keep or drop the rows of another reservoir: the result is that of one reservoir for both streams.

        Args:
            samples: of the other one.
            seen: how many rows it was offered.
        """
        for sample in samples:
            self._keep(sample.drawn, lambda at=sample.offered_at: at, sample.client, lambda row=sample.row: row)  # type: ignore[misc]
        self.seen += seen

    def _keep(self, drawn: float, now: Callable[[], float], client: str, copy_row: Callable[[], Row]) -> None:
        if len(self._kept) == self._capacity and drawn >= self._kept[-1].drawn:
            return
        if self._count_by_client[client] == self._per_client:
            last = max(position for position, sample in enumerate(self._kept) if sample.client == client)
            if drawn >= self._kept[last].drawn:
                return
            self._drop(last)
        insort(self._kept, Sample(drawn, now(), client, copy_row()), key=attrgetter("drawn"))
        self._count_by_client[client] += 1
        if len(self._kept) > self._capacity:
            self._drop(-1)

    def _drop(self, position: int) -> None:
        client = self._kept.pop(position).client
        self._count_by_client[client] -= 1
        if not self._count_by_client[client]:
            del self._count_by_client[client]
