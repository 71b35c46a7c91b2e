"""Memory, processor time and open files of all processes that share a port, for Prometheus."""

import os
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.replicas.worker_group import WorkerTable

_ADDED_UP = {
    "process_cpu_seconds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_virtual_memory_bytes",
}
_CHILDREN_TIMES = slice(13, 15)
"""Fields of /proc/PID/stat behind the name: ticks of children that have ended."""


class WorkerProcesses(Collector):
    """The workers and the process that keeps them, added up under the metric names that one process would have.

    Args:
        table: of the workers. The process that keeps them is the parent of this one.
    """

    def __init__(self, table: WorkerTable) -> None:
        self._table = table

    def collect(self) -> Iterable[Metric]:
        """Read now."""
        summed = {metric.name: metric for metric in ProcessCollector(registry=None).collect()}
        parent = os.getppid()
        for pid in {parent, *self._table.pids} - {os.getpid()}:
            for metric in ProcessCollector(pid=partial(int, pid), registry=None).collect():
                if metric.name in _ADDED_UP:
                    _add(summed[metric.name], metric.samples[0].value)
        # A counter may not fall when a worker ends: the system keeps the time of those that have.
        if "process_cpu_seconds" in summed:
            _add(summed["process_cpu_seconds"], _seconds_of_ended_children(parent))
        serving = GaugeMetricFamily("denge_workers", "Worker processes that serve.", self._table.serving)
        died = CounterMetricFamily("denge_workers_replaced", "Worker processes that died.", self._table.died)
        return (*summed.values(), serving, died)


def _seconds_of_ended_children(pid: int) -> float:
    with suppress(OSError, ValueError):
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        return sum(map(int, fields[_CHILDREN_TIMES])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _add(metric: Metric, value: float) -> None:
    metric.samples = [metric.samples[0]._replace(value=metric.samples[0].value + value)]
