"""`auto` mode: what observes, and what takes the steps."""

from service.auto.observing import AutoObserver
from service.auto.runner import TOPIC, AutoRunner
from service.catalog.catalog import Catalog
from service.catalog.rollouts import Rollouts
from service.host.blocking_pool import BlockingPool
from service.host.clock import steady
from service.recalibrating.jobs import Recalibrations
from service.replicas.agreement import Agreement
from service.replicas.membership import Membership
from service.telemetry.statistics import Gather
from service.watching.events import Events
from service.watching.monitor import DriftMonitor


def run_auto(
    catalog: Catalog,
    rollouts: Rollouts,
    monitor: DriftMonitor,
    recalibrations: Recalibrations,
    gather: Gather,
    reads: BlockingPool,
    changes: Agreement,
    membership: Membership,
    events: Events,
) -> AutoRunner:
    """Takes the steps of `auto` mode as soon as the membership runs."""
    observer = AutoObserver(catalog, monitor, recalibrations, gather, steady)
    runner = AutoRunner(catalog, rollouts, observer, recalibrations, reads, changes, membership, events.publish_step)
    membership.watch(TOPIC, runner.work)
    return runner
