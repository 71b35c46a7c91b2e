"""The parts of a replica that are there since its start."""

from typing import NamedTuple

from service.access import Guard
from service.catalog.catalog import Catalog
from service.catalog.trials import Trials
from service.composition.predictions import Predictions
from service.host.blocking_pool import BlockingPool
from service.host.lifecycle import Lifecycle
from service.http.tls import Certificate
from service.inference.limits import Limits
from service.recalibrating.collector import RowCollector
from service.replicas.agreement import Agreement
from service.replicas.group_statistics import GroupStatistics
from service.replicas.membership import Membership
from service.replicas.peers import Peers
from service.replicas.readiness import ReadinessCheck
from service.replicas.worker_group import WorkerGroup
from service.settings import Settings
from service.telemetry.statistics import ServiceStatistics
from service.watching.alarms.webhook import Webhook
from service.watching.labels.answered_requests import AnsweredRequests


class Parts(NamedTuple):
    """These parts, each documented where it is defined. `service.composition.late_parts` has the others.

    Attributes:
        certificate: of the port; None where it does not speak TLS.
        group: this replica's place among those that share its port; None where it has a port of its own.
        reads: reads the repository.
        collector: of rows for re-calibrations; every result is offered to it.
        answered: remembers requests for their labels.
    """

    settings: Settings
    lifecycle: Lifecycle
    certificate: Certificate | None
    group: WorkerGroup | None
    guard: Guard
    limits: Limits
    catalog: Catalog
    trials: Trials
    reads: BlockingPool
    membership: Membership
    check_readiness: ReadinessCheck
    peers: Peers
    agreement: Agreement
    statistics: ServiceStatistics
    group_statistics: GroupStatistics
    webhook: Webhook
    collector: RowCollector
    answered: AnsweredRequests
    predictions: Predictions
