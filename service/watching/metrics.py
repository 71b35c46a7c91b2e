"""Prometheus metrics of observation, drift and the webhook."""

from collections.abc import Iterable
from dataclasses import asdict

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.catalog.catalog import Catalog
from service.telemetry.metrics import VERSION_LABELS
from service.watching.effort import Effort
from service.watching.monitor import DriftMonitor
from service.watching.version_monitor import JudgedWindow
from service.watching.webhook import Deliveries

Labels = tuple[str, str]
"""Model and version."""

_LAYER_LABELS = (*VERSION_LABELS, "layer")


class WatchingMetrics(Collector):
    """What was observed of each loaded version, what that cost, and its last judged window of rows.

    Args:
        catalog: the loaded versions.
        monitor: records and judges their observations.
    """

    def __init__(self, catalog: Catalog, monitor: DriftMonitor) -> None:
        self._catalog = catalog
        self._monitor = monitor

    def collect(self) -> Iterable[Metric]:
        """Returns the metrics as of now."""
        versions = [
            ((served.model, str(served.version)), self._monitor.of(served)) for served in self._catalog.served()
        ]
        efforts = [(labels, monitor.effort) for labels, monitor in versions]
        windows = [(labels, monitor.judged) for labels, monitor in versions if monitor.judged is not None]
        return (*_effort(efforts), *_drift(windows))


class WebhookMetrics(Collector):
    """Messages of the webhook.

    Args:
        deliveries: counts them.
    """

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries

    def collect(self) -> Iterable[Metric]:
        """Returns the metrics as of now."""
        messages = CounterMetricFamily("denge_webhook_messages", "Webhook messages by outcome.", labels=("outcome",))
        for outcome, count in asdict(self._deliveries).items():
            messages.add_metric((outcome,), count)
        return (messages,)


def _effort(versions: Iterable[tuple[Labels, Effort]]) -> Iterable[Metric]:
    rows = CounterMetricFamily("denge_observed_rows", "Rows observed.", labels=VERSION_LABELS)
    batches = CounterMetricFamily("denge_observed_batches", "Batches observed.", labels=VERSION_LABELS)
    skipped = CounterMetricFamily(
        "denge_unobserved_batches", "Batches not observed, to stay within the budget.", labels=VERSION_LABELS
    )
    seconds = CounterMetricFamily(
        "denge_observer_cpu_seconds", "Processor time spent on observing.", labels=VERSION_LABELS
    )
    for labels, effort in versions:
        rows.add_metric(labels, effort.rows)
        batches.add_metric(labels, effort.batches)
        skipped.add_metric(labels, effort.skipped)
        seconds.add_metric(labels, effort.seconds)
    return (rows, batches, skipped, seconds)


def _drift(versions: Iterable[tuple[Labels, JudgedWindow]]) -> Iterable[Metric]:
    """A version without a judged window is left out."""
    alarm = GaugeMetricFamily("denge_drift_alarm", "1 while a drift alarm is active.", labels=VERSION_LABELS)
    rows = GaugeMetricFamily("denge_drift_window_rows", "Rows of the last judged window.", labels=VERSION_LABELS)
    score = GaugeMetricFamily(
        "denge_drift_score", "Symmetric KL divergence of a layer from its reference.", labels=_LAYER_LABELS
    )
    significance = GaugeMetricFamily(
        "denge_drift_significance",
        "Statistic of a layer divided by its threshold: above 1 it is significant.",
        labels=_LAYER_LABELS,
    )
    for labels, judged in versions:
        alarm.add_metric(labels, judged.assessment.alarm)
        rows.add_metric(labels, judged.assessment.rows)
        for name, layer in judged.assessment.layers.items():
            score.add_metric((*labels, name), layer.symmetric_kl)
            if layer.statistic is not None and layer.threshold:
                significance.add_metric((*labels, name), layer.statistic / layer.threshold)
    return (alarm, rows, score, significance)
