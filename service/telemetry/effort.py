"""What observing a version costs."""

from dataclasses import dataclass


@dataclass
class Effort:
    """What observing a version has cost since the service started.

    Attributes:
        batches, rows: observed.
        skipped: batches that were not observed, to stay within the budget.
        seconds: of processor time.
    """

    batches: int = 0
    rows: int = 0
    skipped: int = 0
    seconds: float = 0.0

    @property
    def observed_share(self) -> float | None:
        """Share of all batches that were observed; None before the first."""
        batches = self.batches + self.skipped
        return self.batches / batches if batches else None

    def add(self, other: "Effort") -> None:
        """Add the cost of another observation, or of another replica."""
        self.batches += other.batches
        self.rows += other.rows
        self.skipped += other.skipped
        self.seconds += other.seconds
