"""Prometheus metrics of the loaded versions."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.catalog.catalog import Catalog
from service.telemetry.metrics import VERSION_LABELS


class ModelMetrics(Collector):
    """The loaded versions and their normalisation layers.

    Args:
        catalog: the loaded versions.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def collect(self) -> Iterable[Metric]:
        """Returns the metrics as of now."""
        info = GaugeMetricFamily(
            "denge_model_info", "Loaded versions and their provider.", labels=(*VERSION_LABELS, "provider")
        )
        layers = GaugeMetricFamily(
            "denge_model_norm_layers",
            "Normalisation layers by placement: folded back, folded forward or kept.",
            labels=(*VERSION_LABELS, "placement"),
        )
        for served in self._catalog.served():
            labels = (served.model, str(served.version))
            info.add_metric((*labels, served.engine.provider), 1)
            for kind in ("folded_back", "folded_forward", "kept"):
                count = sum(layer.placement.kind == kind for layer in served.manifest.norm_layers)
                layers.add_metric((*labels, kind), count)
        return (info, layers)
