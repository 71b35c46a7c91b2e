"""What Prometheus scrapes: read from the catalog and the statistics at every scrape, and kept nowhere else."""

import resource
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from service.catalog import Catalog
from service.statistics import BOUNDS, Gather, Statistics, Tally
from service.supervisor import Supervisor

_VERSION = ("model", "version")
_ADDED_UP = {
    "process_cpu_seconds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_virtual_memory_bytes",
}


class Metrics:
    """All metrics of one application. A registry for each scrape, so that nothing mixes and nothing goes stale.

    Args:
        catalog: what is loaded.
        gather: what has happened.
        processes: memory and processor time of the service; this process's, unless there are more.
    """

    def __init__(self, catalog: Catalog, gather: Gather, processes: Collector | None = None) -> None:
        self._gather = gather
        self._lasting = (processes or ProcessCollector(registry=None), _Models(catalog))

    async def exposition(self) -> bytes:
        """Everything, in Prometheus' text format."""
        statistics = await self._gather()
        registry = CollectorRegistry()
        for collector in (*self._lasting, _Requests(statistics), _Runs(statistics)):
            registry.register(collector)
        return generate_latest(registry)


class Processes(Collector):
    """Memory, processor time and open files of several processes, added up, under the names that one would have.

    Args:
        workers: of this process.
    """

    def __init__(self, workers: Supervisor) -> None:
        self._workers = workers

    def collect(self) -> Iterable[Metric]:
        """Read now."""
        summed = {metric.name: metric for metric in ProcessCollector(registry=None).collect()}
        for pid in self._workers.pids:
            for metric in ProcessCollector(pid=partial(int, pid), registry=None).collect():
                if metric.name in _ADDED_UP:
                    _add(summed[metric.name], metric.samples[0].value)
        # A counter may not fall when a worker ends: the system keeps the time of those that have.
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        _add(summed["process_cpu_seconds"], ended.ru_utime + ended.ru_stime)
        serving = GaugeMetricFamily("denge_workers", "Worker processes that serve.", self._workers.serving)
        replaced = CounterMetricFamily("denge_workers_replaced", "Worker processes that died.", self._workers.replaced)
        return (*summed.values(), serving, replaced)


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


class _Requests(Collector):
    def __init__(self, statistics: Statistics) -> None:
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
    def __init__(self, statistics: Statistics) -> None:
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


def _add(metric: Metric, value: float) -> None:
    metric.samples = [metric.samples[0]._replace(value=metric.samples[0].value + value)]


def _cumulative(tally: Tally) -> Iterator[tuple[str, float]]:
    """Buckets as Prometheus has them: how many took this long or less."""
    bounds = (*(str(bound) for bound in BOUNDS), "+Inf")
    return zip(bounds, accumulate(tally.buckets), strict=True)
