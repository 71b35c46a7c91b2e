"""Prometheus metrics of the certificate."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.http.tls import Certificate


class CertificateMetrics(Collector):
    """Exposes when the certificate expires.

    Args:
        certificate: of the service; None if it does not use TLS.
    """

    def __init__(self, certificate: Certificate | None) -> None:
        self._certificate = certificate

    def collect(self) -> Iterator[Metric]:
        """The metrics now."""
        if self._certificate is not None:
            yield GaugeMetricFamily(
                "denge_certificate_expiry_timestamp_seconds",
                "When the TLS certificate expires, in seconds since 1970.",
                value=self._certificate.expires.timestamp(),
            )
