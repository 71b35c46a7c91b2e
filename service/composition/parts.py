"""The parts of a replica that its routes work with."""

from dataclasses import dataclass

from service.access import Guard
from service.auto.runner import AutoRunner
from service.catalog.catalog import Catalog
from service.catalog.rollouts import Rollouts
from service.composition.predictions import Predictions
from service.host.blocking_pool import BlockingPool
from service.http.tls import Certificate
from service.inference.limits import Limits
from service.recalibrating.jobs import Recalibrations
from service.replicas.agreement import Agreement
from service.replicas.group_statistics import GroupStatistics
from service.replicas.membership import Membership
from service.replicas.peers import Peers
from service.replicas.readiness import ReadinessCheck
from service.replicas.worker_group import WorkerGroup
from service.settings import Settings
from service.watching.events import Events
from service.watching.monitor import DriftMonitor
from service.watching.shared_labels import SharedLabels


@dataclass(frozen=True)
class Parts:
    """The parts of a replica, each documented where it is defined.

    Attributes:
        certificate: of the port; None where it does not speak TLS.
        group: this replica's place among those that share its port; None where it has a port of its own.
        reads: reads the repository.
    """

    settings: Settings
    certificate: Certificate | None
    group: WorkerGroup | None
    guard: Guard
    limits: Limits
    catalog: Catalog
    rollouts: Rollouts
    reads: BlockingPool
    membership: Membership
    check_readiness: ReadinessCheck
    peers: Peers
    agreement: Agreement
    group_statistics: GroupStatistics
    events: Events
    monitor: DriftMonitor
    true_classes: SharedLabels
    recalibrations: Recalibrations
    auto: AutoRunner
    predictions: Predictions
