"""Counts and times of requests and runs, as the statistics extension of the Open Inference Protocol reports them."""

import threading
from collections import defaultdict
from dataclasses import dataclass, field
from time import time

from service.catalog import Served


@dataclass
class Tally:
    """How often, and how long altogether."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float) -> None:
        """Count one more."""
        self.count += 1
        self.ns += round(seconds * 1e9)


@dataclass
class VersionStatistics:
    """What has happened to one version since the service started.

    Attributes:
        rows: answered.
        last_inference_ms: milliseconds since 1970, 0 before the first.
        success, fail: requests, from their decoding to their answer.
        queue: requests, until their run began.
        runs: of the model.
        batches: runs by their number of rows.
    """

    rows: int = 0
    last_inference_ms: int = 0
    success: Tally = field(default_factory=Tally)
    fail: Tally = field(default_factory=Tally)
    queue: Tally = field(default_factory=Tally)
    runs: Tally = field(default_factory=Tally)
    batches: defaultdict[int, Tally] = field(default_factory=lambda: defaultdict(Tally))


class Statistics:
    """Of all versions. Any thread may add to them."""

    def __init__(self) -> None:
        self._versions: defaultdict[tuple[str, int], VersionStatistics] = defaultdict(VersionStatistics)
        self._lock = threading.Lock()

    def of(self, served: Served) -> VersionStatistics:
        """What has happened to one version."""
        with self._lock:
            return self._versions[served.model, served.version]

    def ran(self, served: Served, rows: int, seconds: float) -> None:
        """The model ran once."""
        with self._lock:
            version = self._versions[served.model, served.version]
            version.rows += rows
            version.last_inference_ms = int(time() * 1e3)
            version.runs.add(seconds)
            version.batches[rows].add(seconds)

    def answered(self, served: Served, seconds: float, queued: float) -> None:
        """A request was answered."""
        with self._lock:
            version = self._versions[served.model, served.version]
            version.success.add(seconds)
            version.queue.add(queued)

    def failed(self, served: Served, seconds: float) -> None:
        """A request was not."""
        with self._lock:
            self._versions[served.model, served.version].fail.add(seconds)
