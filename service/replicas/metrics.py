"""Prometheus metrics of the store, and of the replicas that share it."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.replicas.agreement import Agreement
from service.replicas.membership import Membership


class ReplicaMetrics(Collector):
    """Whether the store answers, how many replicas there are, and which catalog this one has applied.

    Args:
        membership, agreement: of this replica.
    """

    def __init__(self, membership: Membership, agreement: Agreement) -> None:
        self._membership = membership
        self._agreement = agreement

    def collect(self) -> Iterable[Metric]:
        """Returns the metrics as of now."""
        return (
            GaugeMetricFamily("denge_store_up", "1 while the store answers.", self._membership.is_available),
            GaugeMetricFamily("denge_replicas", "Live replicas, when the store last answered.", self._membership.size),
            GaugeMetricFamily(
                "denge_catalog_revision", "Revision of the catalog that this replica serves.", self._agreement.revision
            ),
        )
