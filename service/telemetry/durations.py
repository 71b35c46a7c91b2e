"""How long requests and runs take: a histogram with fixed bounds, so that those of several processes add up."""

from bisect import bisect_left
from dataclasses import dataclass, field

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets, in seconds."""


@dataclass(slots=True)
class DurationHistogram:
    """Number, sum and distribution of durations.

    Attributes:
        count: number of durations.
        seconds: their sum.
        buckets: durations up to each bound of `BOUNDS`, and those beyond the last.
    """

    count: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    def add(self, seconds: float) -> None:
        """Add one duration."""
        self.count += 1
        self.seconds += seconds
        self.buckets[bisect_left(BOUNDS, seconds)] += 1

    def merge(self, other: "DurationHistogram") -> None:
        """Add the durations of another histogram."""
        self.count += other.count
        self.seconds += other.seconds
        self.buckets = [ours + theirs for ours, theirs in zip(self.buckets, other.buckets, strict=True)]

    def since(self, earlier: "DurationHistogram") -> "DurationHistogram":
        """Returns the durations added after an earlier copy of this histogram was taken."""
        buckets = [now - before for now, before in zip(self.buckets, earlier.buckets, strict=True)]
        return DurationHistogram(self.count - earlier.count, self.seconds - earlier.seconds, buckets)

    def quantile(self, fraction: float) -> float | None:
        """Returns the quantile in seconds, interpolated linearly within its bucket; None for an empty histogram.

        The same estimate as Prometheus' `histogram_quantile`.
        """
        rank, below = fraction * self.count, 0
        for bound, before, count in zip(BOUNDS, (0.0, *BOUNDS), self.buckets, strict=False):
            if count and below + count >= rank:
                return before + (bound - before) * (rank - below) / count
            below += count
        return BOUNDS[-1] if self.count else None

    @property
    def nanoseconds(self) -> int:
        """The sum in nanoseconds."""
        return round(self.seconds * 1e9)
