"""The Prometheus exposition: read from the service at every scrape, and stored nowhere else."""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from service.telemetry.durations import BOUNDS, DurationHistogram
from service.telemetry.statistics import Delivery, Gather, Refusal, ServiceStatistics

VERSION_LABELS = ("model", "version")


class Metrics:
    """All metrics of one application. Each scrape has its own registry, so that no two applications share one.

    Args:
        gather: returns the statistics of requests and runs.
        collectors: of the other rooms.
    """

    def __init__(self, gather: Gather, *collectors: Collector) -> None:
        self._gather = gather
        self._collectors = collectors

    async def exposition(self) -> bytes:
        """Returns all metrics in Prometheus' text format."""
        statistics = await self._gather()
        registry = CollectorRegistry()
        for collector in (*self._collectors, _Requests(statistics), _Runs(statistics), _Watching(statistics)):
            registry.register(collector)
        return generate_latest(registry)


class _Requests(Collector):
    def __init__(self, statistics: ServiceStatistics) -> None:
        self._statistics = statistics

    def collect(self) -> Iterable[Metric]:
        labels = ("route", "method", "status")
        count = CounterMetricFamily("denge_http_requests", "Answered requests.", labels=labels)
        seconds = HistogramMetricFamily(
            "denge_http_request_seconds", "Time from the head of a request to the end of its response.", labels=labels
        )
        for (route, method, status), durations in self._statistics.requests.items():
            count.add_metric((route, method, str(status)), durations.count)
            seconds.add_metric((route, method, str(status)), list(_cumulative(durations)), durations.seconds)
        return (count, seconds)


class _Runs(Collector):
    def __init__(self, statistics: ServiceStatistics) -> None:
        self._statistics = statistics

    def collect(self) -> Iterable[Metric]:
        runs = CounterMetricFamily(
            "denge_inferences", "Runs of a model, by outcome.", labels=(*VERSION_LABELS, "outcome")
        )
        rows = CounterMetricFamily("denge_inference_rows", "Rows that a model predicted.", labels=VERSION_LABELS)
        seconds = HistogramMetricFamily(
            "denge_inference_seconds", "Time of one run of a model, without waiting.", labels=VERSION_LABELS
        )
        pending = GaugeMetricFamily(
            "denge_inferences_pending", "Requests that wait for a run or are in one.", labels=VERSION_LABELS
        )
        refused = CounterMetricFamily(
            "denge_refused_requests", "Requests refused with 503, by reason.", labels=(*VERSION_LABELS, "reason")
        )
        routed = CounterMetricFamily(
            "denge_domain_rows", "Rows that were sent to a version by domain.", labels=VERSION_LABELS
        )
        for (model, version), statistics in self._statistics.versions.items():
            labels = (model, str(version))
            routed.add_metric(labels, statistics.routed)
            pending.add_metric(labels, statistics.pending)
            for reason in get_args(Refusal):
                refused.add_metric((*labels, reason), statistics.refused[reason])
            runs.add_metric((*labels, "success"), statistics.runs.count)
            runs.add_metric((*labels, "failure"), statistics.failed_runs)
            rows.add_metric(labels, statistics.rows)
            seconds.add_metric(labels, list(_cumulative(statistics.runs)), statistics.runs.seconds)
        return (runs, rows, seconds, pending, refused, routed)


class _Watching(Collector):
    def __init__(self, statistics: ServiceStatistics) -> None:
        self._statistics = statistics

    def collect(self) -> Iterable[Metric]:
        rows = CounterMetricFamily("denge_observed_rows", "Rows observed.", labels=VERSION_LABELS)
        batches = CounterMetricFamily("denge_observed_batches", "Batches observed.", labels=VERSION_LABELS)
        skipped = CounterMetricFamily(
            "denge_unobserved_batches", "Batches not observed, to stay within the budget.", labels=VERSION_LABELS
        )
        seconds = CounterMetricFamily(
            "denge_observer_cpu_seconds", "Processor time spent on observing.", labels=VERSION_LABELS
        )
        labelled = CounterMetricFamily(
            "denge_labelled_rows", "Predicted rows whose true class was sent.", labels=VERSION_LABELS
        )
        correct = CounterMetricFamily(
            "denge_correct_rows", "Labelled rows that were predicted to be of their class.", labels=VERSION_LABELS
        )
        for (model, version), statistics in self._statistics.versions.items():
            labels, effort = (model, str(version)), statistics.effort
            rows.add_metric(labels, effort.rows)
            batches.add_metric(labels, effort.batches)
            skipped.add_metric(labels, effort.skipped)
            seconds.add_metric(labels, effort.seconds)
            labelled.add_metric(labels, statistics.labelled)
            correct.add_metric(labels, statistics.correct)
        messages = CounterMetricFamily("denge_webhook_messages", "Webhook messages by outcome.", labels=("outcome",))
        for outcome in get_args(Delivery):
            messages.add_metric((outcome,), self._statistics.deliveries[outcome])
        return (rows, batches, skipped, seconds, labelled, correct, messages)


def _cumulative(durations: DurationHistogram) -> Iterator[tuple[str, float]]:
    """Returns Prometheus' buckets: the number of durations up to each bound."""
    bounds = (*(str(bound) for bound in BOUNDS), "+Inf")
    return zip(bounds, accumulate(durations.buckets), strict=True)
