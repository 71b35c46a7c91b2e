"""A random sample of bounded size from a stream of rows, in which each client has at most a share."""

import random
from bisect import insort
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

Row = TypeVar("Row")


class Reservoir(Generic[Row]):
    """Keeps a uniform random sample of each client's rows.

    Every row draws a number. Of each client the rows with the smallest numbers stay, up to its share; of all these, the
    rows with the smallest numbers stay, up to the capacity. A row that was dropped is never needed again, so at most
    `capacity` rows are held.

    Args:
        capacity: rows to keep.
        per_client: rows of one client to keep.
        draw: a number from 0 to 1, evenly distributed.

    Attributes:
        seen: how many rows were offered.
    """

    def __init__(self, capacity: int, per_client: int, draw: Callable[[], float] = random.random) -> None:
        self._capacity = capacity
        self._per_client = per_client
        self._draw = draw
        self._kept: list[tuple[float, int, str, Row]] = []
        self._count_by_client: Counter[str] = Counter()
        self.seen = 0
        self._merged = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def rows(self) -> list[Row]:
        """The rows that are kept, in random order."""
        return [row for *_, row in self._kept]

    def offer(self, client: str, copy_row: Callable[[], Row]) -> None:
        """Keep or drop a row.

        Args:
            client: who has sent it.
            copy_row: makes the copy that is kept; not called for a row that is dropped.
        """
        self.seen += 1
        self._keep(self._draw(), client, copy_row)

    @property
    def samples(self) -> list[tuple[float, str, Row]]:
        """The number that each kept row has drawn, its client, and the row."""
        return [(drawn, client, row) for drawn, _, client, row in self._kept]

    def merge(self, samples: Iterable[tuple[float, str, Row]], seen: int) -> None:
        """Keep or drop the rows of another reservoir: the result is that of one reservoir for both streams.

        Args:
            samples: of the other one.
            seen: how many rows it was offered.
        """
        for drawn, client, row in samples:
            self._merged += 1
            self._keep(drawn, client, lambda row=row: row)  # type: ignore[misc]
        self.seen += seen

    def _keep(self, drawn: float, client: str, copy_row: Callable[[], Row]) -> None:
        if len(self._kept) == self._capacity and drawn >= self._kept[-1][0]:
            return
        if self._count_by_client[client] == self._per_client:
            last = max(position for position, (_, _, other, _) in enumerate(self._kept) if other == client)
            if drawn >= self._kept[last][0]:
                return
            self._drop(last)
        # The second number differs from row to row, so rows themselves are never compared.
        insort(self._kept, (drawn, self.seen + self._merged, client, copy_row()))
        self._count_by_client[client] += 1
        if len(self._kept) > self._capacity:
            self._drop(-1)

    def _drop(self, position: int) -> None:
        _, _, client, _ = self._kept.pop(position)
        self._count_by_client[client] -= 1
        if not self._count_by_client[client]:
            del self._count_by_client[client]
