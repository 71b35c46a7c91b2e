"""Prometheus metrics of drift."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.catalog.catalog import Catalog
from service.telemetry.metrics import VERSION_LABELS
from service.watching.judged_window import JudgedWindow
from service.watching.monitor import DriftMonitor

Labels = tuple[str, str]
"""Model and version."""

_LAYER_LABELS = (*VERSION_LABELS, "layer")


class WatchingMetrics(Collector):
    """The last judged window of rows of each loaded version, and whether its alarm is open.

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
        windows = [(labels, monitor.judged) for labels, monitor in versions if monitor.judged is not None]
        return _drift(windows)


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
    value = GaugeMetricFamily(
        "denge_estimated_accuracy", "Estimated accuracy on the last judged window, 0 to 1.", labels=VERSION_LABELS
    )
    low = GaugeMetricFamily(
        "denge_estimated_accuracy_low", "Lower end of the estimate's interval.", labels=VERSION_LABELS
    )
    high = GaugeMetricFamily(
        "denge_estimated_accuracy_high", "Upper end of the estimate's interval.", labels=VERSION_LABELS
    )
    for labels, judged in versions:
        if (found := judged.assessment.accuracy) is not None:
            value.add_metric(labels, found.value)
            low.add_metric(labels, found.low)
            high.add_metric(labels, found.high)
        alarm.add_metric(labels, judged.alarms.open is not None)
        rows.add_metric(labels, judged.assessment.rows)
        for name, layer in judged.assessment.layers.items():
            score.add_metric((*labels, name), layer.symmetric_kl)
            if layer.statistic is not None and layer.threshold:
                significance.add_metric((*labels, name), layer.statistic / layer.threshold)
    return (alarm, rows, score, significance, value, low, high)
