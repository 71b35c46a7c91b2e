"""Counts and times of requests and runs: kept here once, shown by `/metrics` and by the statistics extension.

Everything is counted on the event loop, where nothing else runs meanwhile, so that counting costs no lock. Each process
counts what it answers itself; the statistics of several processes add up.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import time
from typing import Annotated, Self

from pydantic import BaseModel, Field

from service.catalog.served_version import ServedVersion

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets, in seconds."""


@dataclass(slots=True)
class DurationHistogram:
    """How often, how long altogether, and how often how long.

    Attributes:
        count: times.
        seconds: altogether.
        buckets: counts up to each of `BOUNDS`, and beyond.
    """

    count: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    def add(self, seconds: float) -> None:
        """Count one more."""
        self.count += 1
        self.seconds += seconds
        self.buckets[bisect_left(BOUNDS, seconds)] += 1

    def merge(self, other: "DurationHistogram") -> None:
        """Count what the other has counted as well."""
        self.count += other.count
        self.seconds += other.seconds
        self.buckets = [ours + theirs for ours, theirs in zip(self.buckets, other.buckets, strict=True)]

    def since(self, earlier: "DurationHistogram") -> "DurationHistogram":
        """What was counted after an earlier state of this tally."""
        buckets = [now - before for now, before in zip(self.buckets, earlier.buckets, strict=True)]
        return DurationHistogram(self.count - earlier.count, self.seconds - earlier.seconds, buckets)

    def quantile(self, fraction: float) -> float | None:
        """Seconds that this fraction of the times took at most, read off the buckets; None where there are none.

        Within a bucket, times are taken to be spread evenly, as Prometheus' `histogram_quantile` does.
        """
        rank, below = fraction * self.count, 0
        for bound, before, count in zip(BOUNDS, (0.0, *BOUNDS), self.buckets, strict=False):
            if count and below + count >= rank:
                return before + (bound - before) * (rank - below) / count
            below += count
        return BOUNDS[-1] if self.count else None

    @property
    def ns(self) -> int:
        """Nanoseconds altogether."""
        return round(self.seconds * 1e9)


@dataclass(slots=True)
class VersionStatistics:
    """What has happened to one version since the service started.

    Attributes:
        rows: answered.
        last_inference_ms: milliseconds since 1970, 0 before the first.
        success, fail: requests, from their decoding to their answer.
        queue: requests, until their run began.
        runs: of the model.
        broken_runs: that ended in an error.
        batches: runs by their number of rows.
    """

    rows: int = 0
    last_inference_ms: int = 0
    success: DurationHistogram = field(default_factory=DurationHistogram)
    fail: DurationHistogram = field(default_factory=DurationHistogram)
    queue: DurationHistogram = field(default_factory=DurationHistogram)
    runs: DurationHistogram = field(default_factory=DurationHistogram)
    broken_runs: int = 0
    batches: defaultdict[int, Annotated[DurationHistogram, Field(default_factory=DurationHistogram)]] = field(
        default_factory=lambda: defaultdict(DurationHistogram)
    )

    def ran(self, rows: int, seconds: float) -> None:
        """The model ran once."""
        self.rows += rows
        self.last_inference_ms = int(time() * 1e3)
        self.runs.add(seconds)
        self.batches[rows].add(seconds)

    def merge(self, other: "VersionStatistics") -> None:
        """Count what the other has counted as well."""
        self.rows += other.rows
        self.last_inference_ms = max(self.last_inference_ms, other.last_inference_ms)
        self.success.merge(other.success)
        self.fail.merge(other.fail)
        self.queue.merge(other.queue)
        self.runs.merge(other.runs)
        self.broken_runs += other.broken_runs
        for rows, tally in other.batches.items():
            self.batches[rows].merge(tally)


@dataclass(slots=True)
class ShadowComparison:
    """How a shadow's answers compare with those of the default version, since the service started.

    Attributes:
        rows: compared.
        classified: of which both said a class; `agreed`: the same one.
        largest_difference: of any number of any output.
        runs: of the shadow.
        broken_runs: that ended in an error, or in outputs of another shape.
        dropped: requests that were not compared, since the shadow was busy.
    """

    rows: int = 0
    classified: int = 0
    agreed: int = 0
    largest_difference: float = 0.0
    runs: DurationHistogram = field(default_factory=DurationHistogram)
    broken_runs: int = 0
    dropped: int = 0

    def merge(self, other: "ShadowComparison") -> None:
        """Count what the other has counted as well."""
        self.rows += other.rows
        self.classified += other.classified
        self.agreed += other.agreed
        self.largest_difference = max(self.largest_difference, other.largest_difference)
        self.runs.merge(other.runs)
        self.broken_runs += other.broken_runs
        self.dropped += other.dropped


class ServiceStatistics:
    """Of all versions, and of all requests."""

    def __init__(self) -> None:
        self.versions: defaultdict[tuple[str, int], VersionStatistics] = defaultdict(VersionStatistics)
        self.requests: defaultdict[tuple[str, str, int], DurationHistogram] = defaultdict(DurationHistogram)
        """By template of the path, method and status."""
        self.comparisons: defaultdict[tuple[str, int, int], ShadowComparison] = defaultdict(ShadowComparison)
        """By model, version and shadow."""
        self.pending = 0
        """Requests that wait for a run, or are in one."""

    def of(self, served: ServedVersion) -> VersionStatistics:
        """What has happened to one version."""
        return self.versions[served.model, served.version]

    def merge(self, other: "ServiceStatistics") -> None:
        """Count what the other has counted as well."""
        for version, found in other.versions.items():
            self.versions[version].merge(found)
        for request, tally in other.requests.items():
            self.requests[request].merge(tally)
        for compared, found_there in other.comparisons.items():
            self.comparisons[compared].merge(found_there)
        self.pending += other.pending

    def to_json(self) -> bytes:
        """For another process."""
        return (
            _Snapshot(
                versions=[(*version, found) for version, found in self.versions.items()],
                requests=[(*request, tally) for request, tally in self.requests.items()],
                comparisons=[(*compared, found) for compared, found in self.comparisons.items()],
                pending=self.pending,
            )
            .model_dump_json()
            .encode()
        )

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """What another process has counted."""
        snapshot = _Snapshot.model_validate_json(text)
        statistics = cls()
        statistics.versions.update({(model, version): found for model, version, found in snapshot.versions})
        statistics.requests.update(
            {(route, method, status): tally for route, method, status, tally in snapshot.requests}
        )
        statistics.comparisons.update(
            {(model, version, shadow): found for model, version, shadow, found in snapshot.comparisons}
        )
        statistics.pending = snapshot.pending
        return statistics


Gather = Callable[[], Awaitable[ServiceStatistics]]
"""The statistics of the whole service, however many processes it has."""


class _Snapshot(BaseModel):
    versions: list[tuple[str, int, VersionStatistics]]
    requests: list[tuple[str, str, int, DurationHistogram]]
    comparisons: list[tuple[str, int, int, ShadowComparison]]
    pending: int
