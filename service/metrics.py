"""What Prometheus scrapes. One registry an application, so that two in one process do not mix."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.catalog import Served

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """All metrics of one application.

    Args:
        served: what is loaded now, asked at every scrape.
    """

    def __init__(self, served: Callable[[], Iterable[Served]]) -> None:
        self.registry = CollectorRegistry()
        self._counters: dict[tuple[str, int], RunCounters] = {}
        ProcessCollector(registry=self.registry)
        self.registry.register(_LoadedModels(served))
        self.requests = Counter(
            "denge_http_requests_total", "Answered requests.", ("route", "method", "status"), registry=self.registry
        )
        self.request_seconds = Histogram(
            "denge_http_request_seconds",
            "Time from the head of a request to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.inferences = Counter(
            "denge_inferences_total",
            "Runs of a model, by outcome.",
            ("model", "version", "outcome"),
            registry=self.registry,
        )
        self.rows = Counter(
            "denge_inference_rows_total",
            "Rows that a model has answered.",
            ("model", "version"),
            registry=self.registry,
        )
        self.inference_seconds = Histogram(
            "denge_inference_seconds",
            "Time of one run of a model, without waiting.",
            ("model", "version"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.pending = Gauge(
            "denge_inferences_pending", "Requests waiting for a run or in one.", registry=self.registry
        )

    def of(self, served: Served) -> "RunCounters":
        """What is counted of the runs of one version."""
        key = (served.model, served.version)
        if key not in self._counters:
            labels = (served.model, str(served.version))
            self._counters[key] = RunCounters(
                successes=self.inferences.labels(*labels, "success"),
                failures=self.inferences.labels(*labels, "failure"),
                rows=self.rows.labels(*labels),
                seconds=self.inference_seconds.labels(*labels),
            )
        return self._counters[key]

    def exposition(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)


@dataclass(frozen=True)
class RunCounters:
    """The counters of one version, looked up once: finding them by their labels costs more than counting."""

    successes: Counter
    failures: Counter
    rows: Counter
    seconds: Histogram


class _LoadedModels(Collector):
    """One line a loaded version, read from the catalog, so that it cannot say anything else than what is served."""

    def __init__(self, served: Callable[[], Iterable[Served]]) -> None:
        self._served = served

    def collect(self) -> Iterable[Metric]:
        """Called at every scrape."""
        info = GaugeMetricFamily(
            "denge_model_info", "Loaded versions and what runs them.", labels=("model", "version", "provider")
        )
        layers = GaugeMetricFamily(
            "denge_model_norm_layers",
            "Normalisation layers by where they went.",
            labels=("model", "version", "placement"),
        )
        for served in self._served():
            info.add_metric((served.model, str(served.version), served.engine.provider), 1)
            for kind in ("folded_back", "folded_forward", "kept"):
                count = sum(layer.placement.kind == kind for layer in served.manifest.norm_layers)
                layers.add_metric((served.model, str(served.version), kind), count)
        return (info, layers)
