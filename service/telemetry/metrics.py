"""What Prometheus scrapes: read from the catalog and the statistics at every scrape, and kept nowhere else."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from service.catalog.catalog import Catalog
from service.telemetry.statistics import BOUNDS, DurationHistogram, Gather, ServiceStatistics
from service.watching.monitor import DriftMonitor
from service.watching.webhook import Deliveries

_VERSION = ("model", "version")
_LAYER = (*_VERSION, "layer")


class Metrics:
    """All metrics of one application. A registry for each scrape, so that nothing mixes and nothing goes stale.

    Args:
        catalog: what is loaded.
        gather: what has happened.
        watch: what the layers meet.
        deliveries: what has become of the webhook's messages.
        processes: memory and processor time of all processes of the service.
    """

    def __init__(
        self,
        catalog: Catalog,
        gather: Gather,
        watch: DriftMonitor,
        deliveries: Deliveries,
        processes: Collector,
    ) -> None:
        self._gather = gather
        self._lasting = (processes, _Models(catalog), _Observed(catalog, watch), _Drift(catalog, watch, deliveries))

    async def exposition(self) -> bytes:
        """Everything, in Prometheus' text format."""
        statistics = await self._gather()
        registry = CollectorRegistry()
        for collector in (*self._lasting, _Requests(statistics), _Runs(statistics)):
            registry.register(collector)
        return generate_latest(registry)


class _Models(Collector):
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def collect(self) -> Iterable[Metric]:
        info = GaugeMetricFamily(
            "denge_model_info", "Loaded versions and what runs them.", labels=(*_VERSION, "provider")
        )
        layers = GaugeMetricFamily(
            "denge_model_norm_layers", "Normalisation layers by where they went.", labels=(*_VERSION, "placement")
        )
        for served in self._catalog.served():
            labels = (served.model, str(served.version))
            info.add_metric((*labels, served.engine.provider), 1)
            for kind in ("folded_back", "folded_forward", "kept"):
                count = sum(layer.placement.kind == kind for layer in served.manifest.norm_layers)
                layers.add_metric((*labels, kind), count)
        return (info, layers)


class _Observed(Collector):
    def __init__(self, catalog: Catalog, watch: DriftMonitor) -> None:
        self._catalog = catalog
        self._watch = watch

    def collect(self) -> Iterable[Metric]:
        rows = CounterMetricFamily("denge_observed_rows", "Rows whose layers were looked at.", labels=_VERSION)
        taken = CounterMetricFamily("denge_observed_batches", "Batches that were observed.", labels=_VERSION)
        dropped = CounterMetricFamily(
            "denge_unobserved_batches", "Batches that were not, to hold the budget.", labels=_VERSION
        )
        seconds = CounterMetricFamily("denge_observer_cpu_seconds", "Processor time of observing.", labels=_VERSION)
        for served in self._catalog.served():
            labels = (served.model, str(served.version))
            effort = self._watch.effort(served)
            for family, value in zip(
                (rows, taken, dropped, seconds),
                (effort.rows, effort.batches, effort.skipped, effort.seconds),
                strict=True,
            ):
                family.add_metric(labels, value)
        return (rows, taken, dropped, seconds)


class _Drift(Collector):
    """Of the last window of rows that was judged: versions without one are left out."""

    def __init__(self, catalog: Catalog, watch: DriftMonitor, deliveries: Deliveries) -> None:
        self._catalog = catalog
        self._watch = watch
        self._deliveries = deliveries

    def collect(self) -> Iterable[Metric]:
        alarm = GaugeMetricFamily("denge_drift_alarm", "1 while a drift alarm stands.", labels=_VERSION)
        rows = GaugeMetricFamily("denge_drift_window_rows", "Rows of the window that was judged.", labels=_VERSION)
        score = GaugeMetricFamily(
            "denge_drift_score", "Symmetric KL divergence of a layer from its reference.", labels=_LAYER
        )
        significance = GaugeMetricFamily(
            "denge_drift_significance",
            "Statistic of a layer over its threshold: above 1 it is significant.",
            labels=_LAYER,
        )
        for served in self._catalog.served():
            if (judged := self._watch.judged(served)) is None:
                continue
            labels = (served.model, str(served.version))
            alarm.add_metric(labels, judged.assessment.alarm)
            rows.add_metric(labels, judged.assessment.rows)
            for name, layer in judged.assessment.layers.items():
                score.add_metric((*labels, name), layer.symmetric_kl)
                if layer.statistic is not None and layer.threshold:
                    significance.add_metric((*labels, name), layer.statistic / layer.threshold)
        messages = CounterMetricFamily(
            "denge_webhook_messages", "Messages of the webhook, by what became of them.", labels=("outcome",)
        )
        for outcome, count in asdict(self._deliveries).items():
            messages.add_metric((outcome,), count)
        return (alarm, rows, score, significance, messages)


class _Requests(Collector):
    def __init__(self, statistics: ServiceStatistics) -> None:
        self._statistics = statistics

    def collect(self) -> Iterable[Metric]:
        labels = ("route", "method", "status")
        count = CounterMetricFamily("denge_http_requests", "Answered requests.", labels=labels)
        seconds = HistogramMetricFamily(
            "denge_http_request_seconds", "Time from the head of a request to the end of its answer.", labels=labels
        )
        for (route, method, status), tally in self._statistics.requests.items():
            count.add_metric((route, method, str(status)), tally.count)
            seconds.add_metric((route, method, str(status)), list(_cumulative(tally)), tally.seconds)
        return (count, seconds)


class _Runs(Collector):
    def __init__(self, statistics: ServiceStatistics) -> None:
        self._statistics = statistics

    def collect(self) -> Iterable[Metric]:
        runs = CounterMetricFamily("denge_inferences", "Runs of a model, by outcome.", labels=(*_VERSION, "outcome"))
        rows = CounterMetricFamily("denge_inference_rows", "Rows that a model has answered.", labels=_VERSION)
        seconds = HistogramMetricFamily(
            "denge_inference_seconds", "Time of one run of a model, without waiting.", labels=_VERSION
        )
        for (model, version), found in self._statistics.versions.items():
            labels = (model, str(version))
            runs.add_metric((*labels, "success"), found.runs.count)
            runs.add_metric((*labels, "failure"), found.broken_runs)
            rows.add_metric(labels, found.rows)
            seconds.add_metric(labels, list(_cumulative(found.runs)), found.runs.seconds)
        pending = GaugeMetricFamily(
            "denge_inferences_pending", "Requests waiting for a run or in one.", self._statistics.pending
        )
        return (runs, rows, seconds, pending)


def _cumulative(tally: DurationHistogram) -> Iterator[tuple[str, float]]:
    """Buckets as Prometheus has them: how many took this long or less."""
    bounds = (*(str(bound) for bound in BOUNDS), "+Inf")
    return zip(bounds, accumulate(tally.buckets), strict=True)
