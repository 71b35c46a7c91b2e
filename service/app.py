"""The composition root: builds the parts of the service, and hands them to each other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import structlog

from models.errors import InvalidInput
from models.repository.cache import BundleCache
from models.repository.repository import Repository
from models.runtime.providers import runtime_version, validate_provider
from models.version import VERSION
from service.access import Guard
from service.catalog.catalog import Catalog
from service.catalog.loader import trust
from service.catalog.served_version import ServedVersion
from service.catalog.trials import Trials
from service.catalog.tried_versions import TriedVersions
from service.composition.engines import engine_opener
from service.composition.grpc import serving_grpc
from service.composition.late_assembly import LateAssembly
from service.composition.parts import Parts
from service.composition.predictions import build_predictions
from service.composition.quick_engines import QuickEngines
from service.host.blocking_pool import BlockingPool
from service.host.cores import count_usable
from service.host.lifecycle import Lifecycle
from service.http.framework import Framework
from service.http.predictions import Application
from service.http.proxies import Proxies
from service.http.tls import Certificate
from service.inference.limits import Limits
from service.recalibrating.collector import RowCollector
from service.replicas.agreement import Agreement
from service.replicas.group_statistics import GroupStatistics
from service.replicas.member import Member, new_id
from service.replicas.membership import Membership
from service.replicas.open import open_store
from service.replicas.peers import Peers
from service.replicas.readiness import ReadinessCheck
from service.replicas.start import Start
from service.replicas.worker_group import WorkerGroup
from service.settings import ConfigurationError, Settings
from service.telemetry.statistics import ServiceStatistics
from service.watching.alarms.webhook import Webhook
from service.watching.labels.answered_requests import AnsweredRequests

if TYPE_CHECKING:
    from fastapi import FastAPI

    from service.composition.late_parts import LateParts

log = structlog.get_logger()

READ_SECONDS = 10.0
"""How long a request waits for the repository to be read."""


def create_app(
    settings: Settings,
    lifecycle: Lifecycle | None = None,
    certificate: Certificate | None = None,
    group: WorkerGroup | None = None,
) -> Application:
    """The application of a replica. Nothing is loaded until its lifespan starts.

    Args:
        settings: of the service.
        lifecycle: shared with the server that runs the application.
        certificate: of the port; None where it does not speak TLS.
        group: this replica's place among those that share its port; None where it has a port of its own.
    """
    lifecycle = lifecycle or Lifecycle()
    guard = Guard(settings.read_admin_token(), settings.read_api_keys())
    repository = _open_repository(settings)
    statistics = ServiceStatistics()
    membership = Membership(open_store(settings), _new_member(settings, group), partial(_count_requests, statistics))
    peers = Peers(membership, None if settings.ssl_certfile is None else str(settings.ssl_certfile))
    limits = _limits(settings)
    quick_engines = QuickEngines(settings)
    tried = TriedVersions(settings.state_folder / "tried.json", runtime_version())
    trials = Trials(repository, tried, settings.load_seconds, settings.max_load_bytes, settings.threads)

    def assemble() -> "LateParts":
        from service.composition.late_parts import assemble_late_parts  # noqa: PLC0415 - slow to import

        return assemble_late_parts(parts)

    late = LateAssembly(assemble)

    def restore(served: ServedVersion) -> None:
        if late.known is not None:  # otherwise they do so for all versions
            late.known.monitor.of(served)

    catalog = Catalog(
        repository,
        engine_opener(settings, limits, quick_engines),
        settings.loaded_versions,
        trials=trials.start if settings.load_seconds else trust,
        on_loaded=restore,
        cores=count_usable(),
    )
    lifecycle.served = lambda: [(one.model, one.manifest) for one in catalog.served() if catalog.is_default(one)]
    check_readiness = ReadinessCheck(lifecycle, catalog, membership)
    reads, changes = (
        BlockingPool("read", 4, READ_SECONDS),
        BlockingPool("change", 4, settings.change_seconds),
    )
    agreement = Agreement(catalog, membership, changes)
    webhook = Webhook(settings.webhook_url, settings.read_webhook_key())

    def count() -> ServiceStatistics:
        for served, observed in () if late.known is None else late.known.monitor.monitored():
            statistics.of(served.model, served.version).effort = observed.effort
        statistics.deliveries = webhook.deliveries
        return statistics

    group_statistics = GroupStatistics(membership, peers, "" if group is None else group.id, count)
    collector, answered = RowCollector(), AnsweredRequests(settings.label_rows)
    predictions = build_predictions(settings, limits, catalog, guard, statistics, late.get, collector, answered)
    gather = group_statistics.gather
    grpc = serving_grpc(settings, lifecycle, predictions, catalog, guard, limits, agreement, gather)

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        validate_provider(settings.provider)
        start = Start(repository, catalog, agreement, settings)
        if membership.store.is_shared:
            await asyncio.to_thread(late.get)  # other replicas may ask for anything from the first moment
        async with membership.running(), webhook.sending(), late.running(), start.loading():
            if membership.store.is_shared:
                await late.open()
            async with grpc:
                yield
            await late.stop()
            predictions.close()
        log.info("stopped")

    def build() -> "FastAPI":
        from service.composition.framework import build_framework  # noqa: PLC0415 - slow to import

        return build_framework(parts, late.get())

    parts = Parts(
        settings,
        lifecycle,
        certificate,
        group,
        guard,
        limits,
        catalog,
        trials,
        reads,
        membership,
        check_readiness,
        peers,
        agreement,
        statistics,
        group_statistics,
        webhook,
        collector,
        answered,
        predictions,
    )
    framework = Framework(build, late.open)
    return predictions.application(framework, running, check_readiness, _proxies(settings), quick_engines.optimize)


def _new_member(settings: Settings, group: WorkerGroup | None) -> Member:
    """This replica, as the others see it."""
    address, name = (settings.own_address, "") if group is None else (group.address, group.id)
    return Member(id=new_id(), address=address, version=VERSION, started=datetime.now(UTC), group=name)


def _count_requests(statistics: ServiceStatistics) -> int:
    return sum(durations.count for durations in statistics.requests.values())


def _proxies(settings: Settings) -> Proxies:
    return Proxies(settings.trusted_proxies, settings.root_path)


def _open_repository(settings: Settings) -> Repository:
    """The repository of the settings.

    Raises:
        ConfigurationError: the client of the bucket is not installed, or lacks a setting.
    """
    try:
        return Repository(settings.repository, BundleCache(settings.cache_folder, settings.cache_bytes))
    except InvalidInput as error:
        raise ConfigurationError(str(error)) from error


def _limits(settings: Settings) -> Limits:
    return Limits(
        concurrency=settings.concurrency,
        max_pending=settings.max_pending,
        max_batch_rows=settings.max_batch_rows,
        batch_wait=settings.batch_wait_ms / 1e3,
        inline=settings.inline_ms / 1e3,
    )
