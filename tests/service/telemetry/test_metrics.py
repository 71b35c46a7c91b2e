"""The exposition: requests and runs, and what the collectors of other rooms add."""

import asyncio
from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from service.telemetry.durations import BOUNDS
from service.telemetry.effort import Effort
from service.telemetry.metrics import Metrics
from service.telemetry.statistics import ServiceStatistics


class Queue(Collector):
    """A metric of another room that changes between scrapes."""

    length = 0

    def collect(self) -> Iterable[Metric]:
        return (GaugeMetricFamily("queue_length", "Length of the queue.", self.length),)


def scrape(metrics: Metrics) -> dict[str, Metric]:
    text = asyncio.run(metrics.exposition()).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def metrics(statistics: ServiceStatistics, *collectors: Collector) -> Metrics:
    async def gather() -> ServiceStatistics:
        return statistics

    return Metrics(gather, *collectors)


def test_runs_are_counted_by_version_and_outcome() -> None:
    statistics = ServiceStatistics()
    statistics.of("mlp", 2).record_run(rows=5, seconds=0.002)
    statistics.of("mlp", 2).failed_runs += 1

    families = scrape(metrics(statistics))

    version = {"model": "mlp", "version": "2"}
    runs = {sample.labels["outcome"]: sample.value for sample in families["denge_inferences"].samples}
    assert runs == {"success": 1, "failure": 1}
    assert [(sample.labels, sample.value) for sample in families["denge_inference_rows"].samples] == [(version, 5)]


def test_buckets_are_cumulative() -> None:
    statistics = ServiceStatistics()
    for seconds in (0.0004, 0.0004, 0.3, 60.0):
        statistics.requests["/v2", "GET", 200].add(seconds)

    samples = scrape(metrics(statistics))["denge_http_request_seconds"].samples

    buckets = {sample.labels["le"]: sample.value for sample in samples if sample.name.endswith("_bucket")}
    assert len(buckets) == len(BOUNDS) + 1
    assert (buckets["0.0005"], buckets["0.25"], buckets["0.5"], buckets["10.0"], buckets["+Inf"]) == (2, 2, 3, 3, 4)


def test_a_collector_is_read_at_every_scrape() -> None:
    queue = Queue()
    exposed = metrics(ServiceStatistics(), queue)

    lengths = []
    for queue.length in (1, 7):
        lengths.append(scrape(exposed)["queue_length"].samples[0].value)
    assert lengths == [1, 7]


def test_what_waits_and_what_was_refused_are_shown_by_version() -> None:
    statistics = ServiceStatistics()
    statistics.of("mlp", 2).pending = 3
    statistics.of("mlp", 2).refused["evicted"] += 2

    families = scrape(metrics(statistics))

    version = {"model": "mlp", "version": "2"}
    assert [(sample.labels, sample.value) for sample in families["denge_inferences_pending"].samples] == [(version, 3)]
    refused = {sample.labels["reason"]: sample.value for sample in families["denge_refused_requests"].samples}
    assert refused == {"queue_full": 0, "evicted": 2, "timeout": 0}


def test_what_was_observed_and_sent_is_counted() -> None:
    statistics = ServiceStatistics()
    statistics.of("mlp", 2).effort.add(Effort(batches=2, rows=10, skipped=3, seconds=0.75))
    statistics.deliveries["delivered"] += 3
    found = scrape(metrics(statistics))

    version = {"model": "mlp", "version": "2"}
    for name, value in (
        ("denge_observed_rows", 10),
        ("denge_observed_batches", 2),
        ("denge_unobserved_batches", 3),
        ("denge_observer_cpu_seconds", 0.75),
    ):
        assert [(sample.labels, sample.value) for sample in found[name].samples] == [(version, value)]
    outcomes = {sample.labels["outcome"]: sample.value for sample in found["denge_webhook_messages"].samples}
    assert outcomes == {"delivered": 3, "failed": 0, "dropped": 0}
