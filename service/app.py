"""The composition root: builds the parts of the service, and hands them to each other."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import structlog
from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline
from prometheus_client import ProcessCollector

from models.errors import InvalidInput
from models.repository.cache import BundleCache
from models.repository.repository import Repository
from models.runtime.providers import runtime_version, validate_provider
from models.version import VERSION
from service.access import Guard
from service.auto.metrics import AutoMetrics
from service.catalog.catalog import Catalog
from service.catalog.loader import trust
from service.catalog.metrics import ModelMetrics
from service.catalog.rollouts import Rollouts
from service.catalog.trials import Trials
from service.catalog.tried_versions import TriedVersions
from service.composition.auto import run_auto
from service.composition.engines import engine_opener
from service.composition.grpc import serving_grpc
from service.composition.predictions import build_predictions
from service.composition.replicas import make_recalibrations, new_member, share_drift
from service.host.blocking_pool import BlockingPool
from service.host.lifecycle import Lifecycle
from service.http import access, errors
from service.http.predictions import Application
from service.http.proxies import Proxies
from service.http.tls import Certificate, CertificateMetrics
from service.inference.limits import Limits
from service.recalibrating.collector import RowCollector
from service.replicas.agreement import Agreement
from service.replicas.group_statistics import GroupStatistics
from service.replicas.membership import Membership
from service.replicas.metrics import ReplicaMetrics
from service.replicas.open import open_store
from service.replicas.peers import Peers
from service.replicas.start import Start
from service.replicas.worker_group import WorkerGroup
from service.replicas.worker_processes import WorkerProcesses
from service.routes import access as access_routes
from service.routes import auto as auto_routes
from service.routes import (
    baselines,
    channel_history,
    configuration,
    dashboard,
    description,
    examples,
    extensions,
    guide,
    health,
    labels,
    layers,
    models,
    overview,
    true_labels,
    v1_models,
)
from service.routes import drift as drift_routes
from service.routes import events as events_routes
from service.routes import live as live_routes
from service.routes import recalibrations as recalibrations_routes
from service.routes import replicas as replicas_routes
from service.routes import repository as repository_routes
from service.routes import rollout as rollout_routes
from service.routes import statistics as statistics_routes
from service.routes.openapi import TAGS
from service.settings import ConfigurationError, Settings
from service.telemetry.metrics import Metrics
from service.telemetry.statistics import ServiceStatistics
from service.watching.alarm import Alarms
from service.watching.answered_requests import AnsweredRequests
from service.watching.events import Events
from service.watching.labels import Labels
from service.watching.metrics import WatchingMetrics
from service.watching.monitor import DriftMonitor
from service.watching.shared_labels import SharedLabels
from service.watching.webhook import Webhook

log = structlog.get_logger()

DESCRIPTION = """
Serves batch-normalised networks, and shows what their normalisation layers remember.

Every example on this page runs as it stands against the starter models. Errors are `{"error": ...}`; every response
carries an `X-Request-ID`, the client's own if it sent one, under which the service's log has the details.
"""

READ_SECONDS = 10.0
"""How long a request waits for the repository to be read."""

FRAMEWORK_PATHS = ("/openapi.json", "/docs", "/docs/oauth2-redirect", "/static-offline-docs")


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
    membership = Membership(open_store(settings), new_member(settings, group), partial(_count_requests, statistics))
    peers = Peers(membership, None if settings.ssl_certfile is None else str(settings.ssl_certfile))
    limits = _limits(settings)
    open_engine = engine_opener(settings, limits)
    tried = TriedVersions(settings.state_folder / "tried.json", runtime_version())
    trials = Trials(repository, tried, settings.load_seconds, settings.max_load_bytes, settings.threads)
    catalog = Catalog(
        repository,
        open_engine,
        settings.loaded_versions,
        trials=trials.start if settings.load_seconds else trust,
        # Stored observations are read now, not when they are asked for.
        on_loaded=lambda served: monitor.of(served),  # noqa: PLW0108 - the monitor does not exist yet
    )
    lifecycle.served = lambda: [(one.model, one.manifest) for one in catalog.served() if catalog.is_default(one)]
    rollouts = Rollouts(catalog)
    reads, changes = (
        BlockingPool("read", 4, READ_SECONDS),
        BlockingPool("change", 4, settings.change_seconds),
    )
    agreement = Agreement(catalog, membership, changes)
    webhook = Webhook(settings.webhook_url, settings.read_webhook_key())

    def count() -> ServiceStatistics:
        for served, observed in monitor.monitored():
            statistics.of(served.model, served.version).effort = observed.effort
        statistics.deliveries = webhook.deliveries
        return statistics

    group_statistics = GroupStatistics(membership, peers, "" if group is None else group.id, count)
    gather = group_statistics.gather
    events = Events(gather, lifecycle)
    shared = share_drift(membership, events, webhook)
    monitor = DriftMonitor(
        catalog,
        settings.drift_window_rows,
        settings.false_alarm_rate,
        settings.state_folder / "watch",
        shared=shared,
        days_between_false_alarms=settings.days_between_false_alarms,
    )
    collector = RowCollector()
    recalibrations = make_recalibrations(
        membership,
        peers,
        catalog,
        settings.state_folder,
        settings.max_collected_bytes,
        collector,
        has_api_keys=guard.has_keys,
        trust=trials.trust,
        agreement=agreement,
    )
    auto = run_auto(catalog, rollouts, monitor, recalibrations, gather, reads, agreement, membership, events)
    answered = AnsweredRequests(settings.label_rows)
    true_classes = SharedLabels(Labels(catalog, answered, monitor, statistics), membership, peers)
    predictions = build_predictions(settings, limits, catalog, guard, statistics, monitor, collector, answered)
    monitor.on_alarm_change(Alarms(events.publish_alarm, webhook.publish).notify_subscribers)
    processes = ProcessCollector(registry=None) if group is None else WorkerProcesses(group.table)
    metrics = Metrics(
        gather,
        processes,
        ModelMetrics(catalog),
        WatchingMetrics(catalog, monitor),
        ReplicaMetrics(membership, agreement),
        AutoMetrics(auto),
        CertificateMetrics(certificate),
    )

    grpc = serving_grpc(settings, lifecycle, predictions, catalog, guard, limits, agreement, gather)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        validate_provider(settings.provider)
        start = Start(repository, catalog, agreement, settings)
        async with membership.running(), webhook.sending(), monitor.saving(), start.loading():
            await recalibrations.open()
            async with grpc:
                yield
            await recalibrations.close()
            predictions.close()
        log.info("stopped")

    app = FastAPIOffline(
        title="Denge",
        version=VERSION,
        description=DESCRIPTION,
        lifespan=lifespan,
        openapi_tags=TAGS,
        redoc_url=None,
        swagger_ui_parameters={"tryItOutEnabled": True, "displayRequestDuration": True},
    )
    routers = (
        repository_routes.router(catalog, rollouts, reads, agreement),
        rollout_routes.router(catalog, rollouts, monitor, gather, reads, agreement),
        labels.router(rollouts, reads, agreement),
        auto_routes.router(
            catalog,
            rollouts,
            reads,
            agreement,
            estimates_accuracy=settings.estimate_accuracy and settings.watch_percent > 0,
        ),
        health.router(catalog, metrics, lifecycle, membership),
        replicas_routes.router(membership, peers, recalibrations, group_statistics),
        recalibrations_routes.router(catalog, recalibrations, predictions.codec_pool, settings.max_body_bytes),
        *predictions.routers,
        layers.router(catalog, predictions.codec_pool, settings.max_body_bytes, predictions.examples.layer_batch),
        statistics_routes.router(catalog, gather),  # "/v2/models/stats" before any model's name
        configuration.router(catalog, limits),
        live_routes.router(catalog, monitor),
        channel_history.router(catalog, monitor),
        access_routes.router(guard),
        drift_routes.router(catalog, monitor),
        baselines.router(catalog, monitor),
        true_labels.router(catalog, true_classes, peers),
        overview.router(catalog, monitor, gather, reads, processes),
        events_routes.router(events, guard),
        models.router(catalog),
        v1_models.router(catalog),
        extensions.router(),
        dashboard.router(has_guide=settings.guide_dir is not None),
        guide.router(settings.guide_dir),
        examples.router(predictions.examples),
    )
    _add_routes(app, guard, routers, FRAMEWORK_PATHS)
    description.install(app, settings.root_path)
    return predictions.application(app, _proxies(settings))


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


def _add_routes(app: FastAPI, guard: Guard, routers: Iterable[APIRouter], framework_paths: Sequence[str]) -> None:
    app.router.redirect_slashes = False
    errors.install(app)
    for router in routers:
        app.router.routes += router.routes  # `include_router` would build every route once more
    access.install(app, guard, framework_paths)
