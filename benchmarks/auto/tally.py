"""Counts of right answers."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Rows with a known class, and how many were answered rightly."""

    rows: int = 0
    right: Counter[str] = field(default_factory=Counter)

    def add(self, rows: int, **right: int) -> None:
        self.rows += rows
        self.right.update(right)

    def gain(self, name: str) -> float:
        """Over the base, in points."""
        return 100 * (self.right[name] - self.right["base"]) / max(self.rows, 1)
