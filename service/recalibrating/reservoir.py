"""A bounded, random choice among the rows that come by, in which no caller has more than a share."""

import random
from bisect import insort
from collections import Counter
from collections.abc import Callable
from typing import Generic, TypeVar

Row = TypeVar("Row")


class Reservoir(Generic[Row]):
    """Keeps some of the rows that it is shown, each as likely as any other of its caller's.

    Every row draws a number, and those with the least stay: of each caller as many as its share is, and of these as
    many as fit. What has been dropped is never needed again, so this holds `capacity` rows and no more.

    Args:
        capacity: rows that are kept.
        per_client: rows of one caller that are kept.
        draw: a number from 0 to 1, evenly spread.
    """

    def __init__(self, capacity: int, per_client: int, draw: Callable[[], float] = random.random) -> None:
        self._capacity = capacity
        self._per_client = per_client
        self._draw = draw
        self._kept: list[tuple[float, int, str, Row]] = []
        self._of_client: Counter[str] = Counter()
        self.seen = 0
        """Rows that were shown."""

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def rows(self) -> list[Row]:
        """What is kept, in random order."""
        return [row for *_, row in self._kept]

    def show(self, client: str, row: Callable[[], Row]) -> None:
        """Keep a row, or not.

        Args:
            client: whose it is.
            row: makes a copy of it, where it is kept.
        """
        self.seen += 1
        drawn = self._draw()
        if len(self._kept) == self._capacity and drawn >= self._kept[-1][0]:
            return
        if self._of_client[client] == self._per_client:
            last = max(place for place, (_, _, other, _) in enumerate(self._kept) if other == client)
            if drawn >= self._kept[last][0]:
                return
            self._drop(last)
        # `seen` differs from row to row, so that rows themselves are never compared.
        insort(self._kept, (drawn, self.seen, client, row()))
        self._of_client[client] += 1
        if len(self._kept) > self._capacity:
            self._drop(-1)

    def _drop(self, place: int) -> None:
        _, _, client, _ = self._kept.pop(place)
        self._of_client[client] -= 1
        if not self._of_client[client]:
            del self._of_client[client]
