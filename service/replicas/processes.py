"""Memory, processor time and open files of several processes, for Prometheus."""

import resource
from collections.abc import Callable, Iterable
from functools import partial

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_ADDED_UP = {
    "process_cpu_seconds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_virtual_memory_bytes",
}


class WorkerProcesses(Collector):
    """This process and its workers added up, under the metric names that one process would have.

    Args:
        pids: process ids of the workers that run.
        serving: how many workers accept connections.
        replaced: how many workers have died.
    """

    def __init__(
        self, pids: Callable[[], Iterable[int]], serving: Callable[[], int], replaced: Callable[[], int]
    ) -> None:
        self._pids = pids
        self._serving = serving
        self._replaced = replaced

    def collect(self) -> Iterable[Metric]:
        """Read now."""
        summed = {metric.name: metric for metric in ProcessCollector(registry=None).collect()}
        for pid in self._pids():
            for metric in ProcessCollector(pid=partial(int, pid), registry=None).collect():
                if metric.name in _ADDED_UP:
                    _add(summed[metric.name], metric.samples[0].value)
        # A counter may not fall when a worker ends: the system keeps the time of those that have.
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        _add(summed["process_cpu_seconds"], ended.ru_utime + ended.ru_stime)
        serving = GaugeMetricFamily("denge_workers", "Worker processes that serve.", self._serving())
        replaced = CounterMetricFamily("denge_workers_replaced", "Worker processes that died.", self._replaced())
        return (*summed.values(), serving, replaced)


def _add(metric: Metric, value: float) -> None:
    metric.samples = [metric.samples[0]._replace(value=metric.samples[0].value + value)]
