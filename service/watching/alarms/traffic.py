"""Traffic between two readings of the service's statistics."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel, Field

from service.telemetry.durations import DurationHistogram
from service.telemetry.statistics import ServiceStatistics


class VersionTraffic(BaseModel, defer_build=True):
    """Requests and rows of one version."""

    model: str
    version: str
    requests: int = Field(description="answered since the service started, failures included")
    rows: int = Field(description="predicted since the service started")
    requests_per_second: float = Field(description="since the last event")
    rows_per_second: float = Field(description="since the last event")
    p50_ms: float | None = Field(description="median latency since the last event; null without requests")
    p99_ms: float | None = Field(description="99th percentile of latency since the last event; null without requests")


class Traffic(BaseModel, defer_build=True):
    """Requests and rows of all versions."""

    time: datetime
    pending: int = Field(description="requests that wait for a run or are in one")
    models: list[VersionTraffic]


@dataclass(frozen=True)
class TrafficReading:
    """A copy of the counts at one time.

    Attributes:
        at: in seconds, on a clock that never goes back.
        pending: requests that wait for a run or are in one.
        versions: durations of all requests, and rows, by model and version.
    """

    at: float
    pending: int
    versions: Mapping[tuple[str, int], tuple[DurationHistogram, int]]

    @classmethod
    def of(cls, statistics: ServiceStatistics, at: float) -> "TrafficReading":
        """Copies the counts."""
        versions = {}
        for version, counted in statistics.versions.items():
            requests = DurationHistogram()
            requests.merge(counted.success)
            requests.merge(counted.fail)
            versions[version] = requests, counted.rows
        return cls(at, statistics.pending, versions)

    def since(self, earlier: "TrafficReading") -> Traffic:
        """Returns the traffic since an earlier reading."""
        seconds = max(self.at - earlier.at, 1e-9)
        models = []
        for (model, version), (requests, rows) in sorted(self.versions.items()):
            requests_before, rows_before = earlier.versions.get((model, version), (DurationHistogram(), 0))
            added = requests.since(requests_before)
            models.append(
                VersionTraffic(
                    model=model,
                    version=str(version),
                    requests=requests.count,
                    rows=rows,
                    requests_per_second=added.count / seconds,
                    rows_per_second=(rows - rows_before) / seconds,
                    p50_ms=_milliseconds(added.quantile(0.5)),
                    p99_ms=_milliseconds(added.quantile(0.99)),
                )
            )
        return Traffic(time=datetime.now(UTC), pending=self.pending, models=models)


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 3)
