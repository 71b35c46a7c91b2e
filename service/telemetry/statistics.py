"""Counts and durations of requests and model runs, as `/metrics` and the statistics extension show them.

Everything is counted on the event loop, so that counting needs no lock. Each process counts what it serves itself; the
statistics of several processes are merged.
"""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import time
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field

from service.telemetry.durations import DurationHistogram
from service.telemetry.effort import Effort

Refusal = Literal["queue_full", "evicted", "timeout"]
"""Why a request was refused: it got no place in the queue, another one got its place, or it waited for too long."""


Delivery = Literal["delivered", "failed", "dropped"]
"""Outcome of a webhook message: with a response of 2xx; after the last attempt; because the queue was full."""


MAX_BATCH_SIZES = 256
"""Numbers of rows whose runs are counted apart: clients choose them, and each takes a histogram."""


@dataclass(slots=True)
class VersionStatistics:
    """Statistics of one version since the service started.

    Attributes:
        rows: rows predicted.
        last_inference_ms: end of the last run in milliseconds since 1970; 0 before the first.
        success, fail: requests, from decoding to the response.
        queue: requests, until their run began.
        runs: runs of the model.
        failed_runs: runs that ended in an error.
        batches: runs by their number of rows; of the first `MAX_BATCH_SIZES` numbers that there were.
        pending: requests that wait for a run or are in one.
        refused: requests by why they were.
        routed: rows that were sent to it by domain.
        effort: what observing has cost.
        labelled: rows whose true class was sent.
        correct: of these, rows that were predicted to be of it.
    """

    rows: int = 0
    last_inference_ms: int = 0
    success: DurationHistogram = field(default_factory=DurationHistogram)
    fail: DurationHistogram = field(default_factory=DurationHistogram)
    queue: DurationHistogram = field(default_factory=DurationHistogram)
    runs: DurationHistogram = field(default_factory=DurationHistogram)
    failed_runs: int = 0
    batches: defaultdict[int, Annotated[DurationHistogram, Field(default_factory=DurationHistogram)]] = field(
        default_factory=lambda: defaultdict(DurationHistogram)
    )
    pending: int = 0
    refused: Counter[Refusal] = field(default_factory=Counter)
    routed: int = 0
    effort: Effort = field(default_factory=Effort)
    labelled: int = 0
    correct: int = 0

    def record_run(self, rows: int, seconds: float) -> None:
        """Count a run of the model."""
        self.rows += rows
        self.last_inference_ms = int(time() * 1e3)
        self.runs.add(seconds)
        if rows in self.batches or len(self.batches) < MAX_BATCH_SIZES:
            self.batches[rows].add(seconds)

    def merge(self, other: "VersionStatistics") -> None:
        """Add the counts of another process."""
        self.rows += other.rows
        self.last_inference_ms = max(self.last_inference_ms, other.last_inference_ms)
        self.success.merge(other.success)
        self.fail.merge(other.fail)
        self.queue.merge(other.queue)
        self.runs.merge(other.runs)
        self.failed_runs += other.failed_runs
        for rows, durations in other.batches.items():
            self.batches[rows].merge(durations)
        self.pending += other.pending
        self.refused.update(other.refused)
        self.routed += other.routed
        self.effort.add(other.effort)
        self.labelled += other.labelled
        self.correct += other.correct


@dataclass(slots=True)
class ShadowComparison:
    """Outputs of a shadow version compared with those of the default version, since the service started.

    Attributes:
        rows: rows compared.
        classified: rows for which both versions predicted a class.
        agreed: of these, rows with the same class.
        largest_difference: of any number of any output.
        runs: runs of the shadow.
        failed_runs: runs that ended in an error, or in outputs of another shape.
        dropped: requests that were not compared because the shadow was busy.
    """

    rows: int = 0
    classified: int = 0
    agreed: int = 0
    largest_difference: float = 0.0
    runs: DurationHistogram = field(default_factory=DurationHistogram)
    failed_runs: int = 0
    dropped: int = 0

    def merge(self, other: "ShadowComparison") -> None:
        """Add the counts of another process."""
        self.rows += other.rows
        self.classified += other.classified
        self.agreed += other.agreed
        self.largest_difference = max(self.largest_difference, other.largest_difference)
        self.runs.merge(other.runs)
        self.failed_runs += other.failed_runs
        self.dropped += other.dropped


class ServiceStatistics:
    """Statistics of all versions and all requests.

    Attributes:
        versions: by model and version.
        requests: durations by path template, method and status.
        comparisons: by model, version and shadow version.
        deliveries: messages of the webhook by outcome.
    """

    def __init__(self) -> None:
        self.versions: defaultdict[tuple[str, int], VersionStatistics] = defaultdict(VersionStatistics)
        self.requests: defaultdict[tuple[str, str, int], DurationHistogram] = defaultdict(DurationHistogram)
        self.comparisons: defaultdict[tuple[str, int, int], ShadowComparison] = defaultdict(ShadowComparison)
        self.deliveries: Counter[Delivery] = Counter()

    @property
    def pending(self) -> int:
        """Requests that wait for a run or are in one, of all versions."""
        return sum(version.pending for version in self.versions.values())

    def of(self, model: str, version: int) -> VersionStatistics:
        """Returns the statistics of one version, to read or to count in."""
        return self.versions[model, version]

    def merge(self, other: "ServiceStatistics") -> None:
        """Add the counts of another process."""
        for version, statistics in other.versions.items():
            self.versions[version].merge(statistics)
        for request, durations in other.requests.items():
            self.requests[request].merge(durations)
        for versions, comparison in other.comparisons.items():
            self.comparisons[versions].merge(comparison)
        self.deliveries.update(other.deliveries)

    def to_json(self) -> bytes:
        """Returns what `from_json` reads in another process."""
        return (
            _Snapshot(
                versions=[(*version, statistics) for version, statistics in self.versions.items()],
                requests=[(*request, durations) for request, durations in self.requests.items()],
                comparisons=[(*versions, comparison) for versions, comparison in self.comparisons.items()],
                deliveries=self.deliveries,
            )
            .model_dump_json()
            .encode()
        )

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Returns the statistics of another process, from its `to_json`."""
        snapshot = _Snapshot.model_validate_json(text)
        statistics = cls()
        statistics.versions.update({(model, version): counted for model, version, counted in snapshot.versions})
        statistics.requests.update(
            {(route, method, status): durations for route, method, status, durations in snapshot.requests}
        )
        statistics.comparisons.update(
            {(model, version, shadow): comparison for model, version, shadow, comparison in snapshot.comparisons}
        )
        statistics.deliveries.update(snapshot.deliveries)
        return statistics


Gather = Callable[[], Awaitable[ServiceStatistics]]
"""Returns the statistics of the whole service, merged over its processes."""


class _Snapshot(BaseModel, defer_build=True):
    versions: list[tuple[str, int, VersionStatistics]]
    requests: list[tuple[str, str, int, DurationHistogram]]
    comparisons: list[tuple[str, int, int, ShadowComparison]]
    deliveries: Counter[Delivery]
