"""The other processes that serve the same models, as one of them sees them: one interface, whatever they are.

A process that serves alone has `service.replicas.alone`, the control process of several workers
`service.replicas.supervisor`.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from prometheus_client.registry import Collector

from service.telemetry.statistics import ServiceStatistics

CERTIFICATE_MESSAGE = "certificate"
"""The files of the TLS certificate have changed."""
CATALOG_MESSAGE = "catalog"
"""What is to be served: `service.catalog.snapshot`."""
OBSERVATION_MESSAGE = "observation"
"""What a worker has observed: `service.watching.observation`."""
STATISTICS_MESSAGE = "statistics"
"""Asks a worker for its statistics."""

Handler = Callable[[bytes], Awaitable[bytes]]
"""Handles a message, and returns the answer."""


class Replicas(Protocol):
    """What other processes are to this one."""

    @property
    def predicts_here(self) -> bool:
        """Whether this process answers predictions itself."""

    @property
    def processes(self) -> Collector:
        """Memory, processor time and open files of all processes, for Prometheus."""

    def on(self, kind: str, handler: Handler) -> None:
        """Call the handler for every message of a kind that another process sends."""

    async def publish(self, kind: str, payload: bytes) -> None:
        """Give every other process a piece of state, which replaces the last one of its kind.

        Returns when all have applied it. A process that starts later gets it before it serves.
        """

    def publish_from_thread(self, kind: str, payload: bytes) -> None:
        """`publish`, from a thread, which waits."""

    async def gather(self, own: ServiceStatistics) -> ServiceStatistics:
        """The statistics of all processes together: this one's own, and those of the others."""
