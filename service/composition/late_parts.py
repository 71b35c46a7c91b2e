"""The parts of a replica that no plain prediction needs. To import and to assemble them takes a third of a start.

They watch, judge and re-calibrate, and answer what else the routes ask. `LateAssembly` says when they are assembled.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from service.auto.observing import AutoObserver
from service.auto.runner import TOPIC, AutoRunner
from service.catalog.rollouts import Rollouts
from service.catalog.served_version import ServedVersion
from service.composition.observed_engines import first_layers_opener, observed_model_opener, twin_opener
from service.composition.parts import Parts
from service.composition.replicas import make_recalibrations, share_drift
from service.host.clock import steady
from service.recalibrating.jobs import Recalibrations
from service.replicas.membership import Membership
from service.watching.alarms.alarm import Alarms
from service.watching.alarms.events import Events
from service.watching.batch_observer import BatchObserver
from service.watching.labels.labels import Labels
from service.watching.labels.shared_labels import SharedLabels
from service.watching.monitor import DriftMonitor
from service.watching.observed_model import ObservedModel
from service.watching.twins.twin_making import TwinMaker
from service.watching.twins.twins import Twins
from service.watching.version_fits import VersionFits

OpenObserved = Callable[[ServedVersion], ObservedModel | None]


@dataclass(frozen=True)
class LateParts:
    """The late parts, each documented where it is defined.

    Attributes:
        open_observed_model: opens the observed graph of a version.
        open_first_layers: opens what of it domains are chosen by.
    """

    membership: Membership
    rollouts: Rollouts
    open_observed_model: OpenObserved
    open_first_layers: OpenObserved
    batch_observer: BatchObserver
    twin_maker: TwinMaker
    events: Events
    monitor: DriftMonitor
    true_classes: SharedLabels
    recalibrations: Recalibrations
    auto: AutoRunner

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Save observations, know the jobs, and take the steps of `auto` mode until the end of the block."""
        async with self.monitor.saving():
            await self.recalibrations.open()
            self.membership.watch(TOPIC, self.auto.work)
            yield

    async def stop(self) -> None:
        """End what works for these parts: jobs, and the processes that make twins."""
        await self.recalibrations.close()
        self.twin_maker.close()


def assemble_late_parts(parts: Parts) -> LateParts:
    """Assembles the late parts from those that are there since the start."""
    settings, catalog, membership = parts.settings, parts.catalog, parts.membership
    events = Events(parts.group_statistics.gather, parts.lifecycle)
    monitor = DriftMonitor(
        catalog,
        settings.drift_window_rows,
        settings.false_alarm_rate,
        settings.state_folder / "watch",
        shared=share_drift(membership, events, parts.webhook),
        days_between_false_alarms=settings.days_between_false_alarms,
    )
    monitor.on_alarm_change(Alarms(events.publish_alarm, parts.webhook.publish).notify_subscribers)
    recalibrations = make_recalibrations(
        membership,
        parts.peers,
        catalog,
        settings.state_folder,
        settings.max_collected_bytes,
        parts.collector,
        has_api_keys=parts.guard.has_keys,
        trust=parts.trials.trust,
        agreement=parts.agreement,
    )
    rollouts = Rollouts(catalog)
    auto = AutoRunner(
        catalog,
        rollouts,
        AutoObserver(catalog, monitor, recalibrations, parts.group_statistics.gather, steady),
        recalibrations,
        parts.reads,
        parts.agreement,
        membership,
        events.publish_step,
    )
    twin_maker = TwinMaker()
    twins = Twins(twin_opener(settings, catalog.repository, twin_maker), monitor.use_estimator)
    for served in catalog.served():
        monitor.of(served)  # stored observations are read now, not when they are asked for
    return LateParts(
        membership,
        rollouts,
        observed_model_opener(settings, catalog.repository),
        first_layers_opener(settings, catalog.repository),
        BatchObserver(
            parts.predictions.observed_models,
            monitor.record,
            twins if settings.estimate_accuracy else None,
            VersionFits(catalog),
        ),
        twin_maker,
        events,
        monitor,
        SharedLabels(Labels(catalog, parts.answered, monitor, parts.statistics), membership, parts.peers),
        recalibrations,
        auto,
    )
