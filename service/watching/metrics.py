"""Prometheus metrics of observation, drift and the webhook."""

from collections.abc import Iterable
from dataclasses import asdict

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.catalog.catalog import Catalog
from service.telemetry.metrics import VERSION_LABELS
from service.watching.monitor import DriftMonitor
from service.watching.webhook import Deliveries

_LAYER_LABELS = (*VERSION_LABELS, "layer")


class ObservationMetrics(Collector):
    """What was observed of each loaded version, and what it cost.

    Args:
        catalog: the loaded versions.
        monitor: where observations are recorded.
    """

    def __init__(self, catalog: Catalog, monitor: DriftMonitor) -> None:
        self._catalog = catalog
        self._monitor = monitor

    def collect(self) -> Iterable[Metric]:
        """Returns the metrics as of now."""
        rows = CounterMetricFamily("denge_observed_rows", "Rows observed.", labels=VERSION_LABELS)
        batches = CounterMetricFamily("denge_observed_batches", "Batches observed.", labels=VERSION_LABELS)
        skipped = CounterMetricFamily(
            "denge_unobserved_batches", "Batches not observed, to stay within the budget.", labels=VERSION_LABELS
        )
        seconds = CounterMetricFamily(
            "denge_observer_cpu_seconds", "Processor time spent on observing.", labels=VERSION_LABELS
        )
        for served in self._catalog.served():
            labels = (served.model, str(served.version))
            effort = self._monitor.of(served).effort
            for family, value in zip(
                (rows, batches, skipped, seconds),
                (effort.rows, effort.batches, effort.skipped, effort.seconds),
                strict=True,
            ):
                family.add_metric(labels, value)
        return (rows, batches, skipped, seconds)


class DriftMetrics(Collector):
    """The last judged window of rows of each loaded version; a version without one is left out.

    Args:
        catalog: the loaded versions.
        monitor: judges their windows.
    """

    def __init__(self, catalog: Catalog, monitor: DriftMonitor) -> None:
        self._catalog = catalog
        self._monitor = monitor

    def collect(self) -> Iterable[Metric]:
        """Returns the metrics as of now."""
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
        for served in self._catalog.served():
            if (judged := self._monitor.of(served).judged) is None:
                continue
            labels = (served.model, str(served.version))
            alarm.add_metric(labels, judged.assessment.alarm)
            rows.add_metric(labels, judged.assessment.rows)
            for name, layer in judged.assessment.layers.items():
                score.add_metric((*labels, name), layer.symmetric_kl)
                if layer.statistic is not None and layer.threshold:
                    significance.add_metric((*labels, name), layer.statistic / layer.threshold)
        return (alarm, rows, score, significance)


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
