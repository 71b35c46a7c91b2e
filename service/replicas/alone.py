"""A process that serves alone."""

from prometheus_client import ProcessCollector
from prometheus_client.registry import Collector

from service.replicas.interface import Handler
from service.telemetry.statistics import ServiceStatistics


class Alone:
    """No other process: an implementation of `service.replicas.interface.Replicas`."""

    predicts_here = True

    def __init__(self) -> None:
        self.processes: Collector = ProcessCollector(registry=None)

    def on(self, kind: str, handler: Handler) -> None:
        """Do nothing: no other process sends messages."""

    async def publish(self, kind: str, payload: bytes) -> None:
        """Do nothing: no other process needs the state."""

    def publish_from_thread(self, kind: str, payload: bytes) -> None:
        """Do nothing: no other process needs the state."""

    async def gather(self, own: ServiceStatistics) -> ServiceStatistics:
        """This process's own statistics."""
        return own
