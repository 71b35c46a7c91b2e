"""The composition root: builds the parts of the service, and hands them to each other."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline
from prometheus_client import ProcessCollector

from models.datatypes import Array
from models.errors import InvalidInput
from models.manifest import Manifest
from models.repository.bundle import Bundle
from models.repository.cache import BundleCache
from models.repository.repository import Repository
from models.runtime.engine import Engine, buckets
from models.runtime.providers import runtime_version, validate_provider
from models.version import VERSION
from service.access import Guard
from service.catalog.catalog import Catalog
from service.catalog.loader import trust
from service.catalog.metrics import ModelMetrics
from service.catalog.rollouts import Rollouts
from service.catalog.served_version import ServedVersion
from service.catalog.trials import Trials
from service.catalog.tried_versions import TriedVersions
from service.host import memory
from service.host.blocking_pool import BlockingPool
from service.host.clock import steady
from service.host.codec_pool import CodecPool
from service.host.lifecycle import Lifecycle
from service.host.memory_budget import MemoryBudget
from service.http import access, errors
from service.http.context import RequestContext
from service.http.cors import allow_origins
from service.http.limits import ConnectionLimits
from service.http.predictions import Application, PlainPredictions
from service.http.proxies import Proxies
from service.http.tls import Certificate, CertificateMetrics
from service.inference import v1
from service.inference.batcher import Batcher
from service.inference.dialect import Dialect
from service.inference.handler import Handler
from service.inference.labelled import Labelled
from service.inference.limits import Limits
from service.inference.queue import Outputs
from service.inference.scoring import Scorer
from service.inference.shadow import Shadow
from service.inference.v1 import V1
from service.inference.v2 import V2
from service.inference.v2_grpc import V2Grpc
from service.recalibrating.collector import RowCollector
from service.recalibrating.jobs import Recalibrations
from service.recalibrating.shared_jobs import SharedRecalibrations
from service.replicas.agreement import Agreement
from service.replicas.group_statistics import GroupStatistics
from service.replicas.member import Member, new_id
from service.replicas.membership import Membership
from service.replicas.metrics import ReplicaMetrics
from service.replicas.open import open_store
from service.replicas.peers import Peers
from service.replicas.start import Start
from service.replicas.worker_group import WorkerGroup
from service.replicas.worker_processes import WorkerProcesses
from service.routes import (
    configuration,
    dashboard,
    description,
    examples,
    extensions,
    health,
    infer,
    labelled,
    labels,
    layers,
    models,
    predict,
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
from service.routes.examples import Examples
from service.routes.openapi import TAGS
from service.routes.predictions import PredictionResponder
from service.settings import ConfigurationError, Settings
from service.telemetry.logs import request_logger
from service.telemetry.metrics import Metrics
from service.telemetry.requests import RequestRecorder
from service.telemetry.statistics import Gather, ServiceStatistics
from service.watching.alarm import Alarms, log_alarm
from service.watching.budget import HEAD_START_SECONDS, Budget
from service.watching.events import Events
from service.watching.judge import Judge
from service.watching.metrics import WatchingMetrics
from service.watching.monitor import DriftMonitor
from service.watching.observation import Observation
from service.watching.observed_model import ObservedModel
from service.watching.observed_models import ObservedModels
from service.watching.observer import MAX_OBSERVED_ROWS, Observer
from service.watching.shared_drift import SharedDrift
from service.watching.webhook import Webhook

if TYPE_CHECKING:
    from service.http.tracing import Tracing

log = structlog.get_logger()

DESCRIPTION = """
Serves batch-normalised networks, and shows what their normalisation layers remember.

Every example on this page runs as it stands against the starter models. Errors are `{"error": ...}`; every response
carries an `X-Request-ID`, the client's own if it sent one, under which the service's log has the details.
"""

READ_SECONDS = 10.0
"""How long a request waits for the repository to be read."""

MAX_CODEC_THREADS = 4
"""More would keep the event loop waiting for too long, since Python runs one of them at a time."""

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
    membership = Membership(open_store(settings), _new_member(settings, group), partial(_count_requests, statistics))
    peers = Peers(membership, None if settings.ssl_certfile is None else str(settings.ssl_certfile))
    limits = _limits(settings)
    open_engine = _engine_opener(settings, limits)
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
    shared = _share_drift(membership, events, webhook)
    monitor = DriftMonitor(
        catalog,
        settings.drift_window_rows,
        settings.false_alarm_rate,
        settings.state_folder / "watch",
        shared=shared,
    )
    collector = RowCollector()
    recalibrations = _make_recalibrations(
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
    predictions = _build_predictions(settings, limits, catalog, guard, statistics, monitor.record, collector)
    monitor.on_alarm_change(Alarms(events.publish_alarm, webhook.publish).notify_subscribers)
    metrics = Metrics(
        gather,
        ProcessCollector(registry=None) if group is None else WorkerProcesses(group.table),
        ModelMetrics(catalog),
        WatchingMetrics(catalog, monitor),
        ReplicaMetrics(membership, agreement),
        CertificateMetrics(certificate),
    )

    grpc = _serving_grpc(settings, lifecycle, predictions, catalog, guard, limits, agreement, gather)

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
        health.router(catalog, metrics, lifecycle, membership),
        replicas_routes.router(membership, peers, recalibrations, group_statistics),
        recalibrations_routes.router(catalog, recalibrations, predictions.codec_pool, settings.max_body_bytes),
        *predictions.routers,
        layers.router(catalog, predictions.codec_pool, settings.max_body_bytes, predictions.examples.layer_batch),
        statistics_routes.router(catalog, gather),  # "/v2/models/stats" before any model's name
        configuration.router(catalog, limits),
        live_routes.router(catalog, monitor),
        drift_routes.router(catalog, monitor),
        events_routes.router(events, guard),
        models.router(catalog),
        v1_models.router(catalog),
        extensions.router(),
        dashboard.router(),
        examples.router(predictions.examples),
    )
    _add_routes(app, guard, routers, FRAMEWORK_PATHS)
    description.install(app, settings.root_path)
    return predictions.application(app, _proxies(settings))


@dataclass(frozen=True)
class _Predictions:
    """The parts that answer predictions: of the one process that serves, or of a worker."""

    handler: Handler
    context: RequestContext
    examples: Examples
    routers: tuple[APIRouter, ...]
    limits: ConnectionLimits
    bodies: MemoryBudget
    origins: Sequence[str]
    tracing: "Tracing | None"
    codec_pool: CodecPool
    closers: tuple[Callable[[], None], ...]

    def application(self, app: FastAPI, proxies: Proxies) -> Application:
        """The application that answers plain predictions itself, and leaves everything else to `app`."""
        make = PlainPredictions if self.tracing is None else self.tracing.plain_predictions
        plain = make(self.handler, self.context, has_origins=bool(self.origins))
        whole = self.context.around(allow_origins(app, self.origins))
        return Application(whole, app, self.context, plain, self.limits, self.bodies, proxies)

    def close(self) -> None:
        """Wait for what runs, and refuse what comes."""
        for close in self.closers:
            close()


def _build_predictions(
    settings: Settings,
    limits: Limits,
    catalog: Catalog,
    guard: Guard,
    statistics: ServiceStatistics,
    on_observation: Callable[[Observation], None],
    collector: RowCollector,
) -> _Predictions:
    memory.keep_freed()
    observed_models = ObservedModels(_observed_model_opener(settings, catalog.repository))
    shadow = Shadow(catalog, statistics)
    observer: Observer | None = None
    scorer = Scorer(observed_models)
    closers = [shadow.close, scorer.close]
    if settings.watch_percent:
        observer = Observer(
            observed_models, on_observation, Budget(settings.watch_percent, HEAD_START_SECONDS), statistics
        )
        closers.append(observer.close)

    def on_result(served: ServedVersion, inputs: Mapping[str, Array], outputs: Outputs, client: str) -> None:
        if observer is not None:
            observer.offer(served, inputs)
        shadow.offer(served, inputs, outputs)
        collector.offer(served, inputs, client)

    tracing = _open_tracing(settings)
    batcher = (
        Batcher(statistics, limits, on_result) if tracing is None else tracing.batcher(statistics, limits, on_result)
    )
    dialects: dict[str, Dialect] = {
        "v2": V2(finite=settings.finite, max_pixels=settings.max_image_pixels),
        "v1": V1(finite=settings.finite, max_pixels=settings.max_image_pixels),
        "grpc": V2Grpc(finite=settings.finite, max_pixels=settings.max_image_pixels),
        "classify": v1.Examples("classify", finite=settings.finite),
        "regress": v1.Examples("regress", finite=settings.finite),
        "labelled": Labelled(max_pixels=settings.max_image_pixels),
    }
    write = request_logger(settings.log_level, settings.log_format)
    context = RequestContext(RequestRecorder(statistics, write))
    if tracing is not None:
        dialects = tracing.dialects(dialects)
        context = tracing.context(statistics, write)
        closers.append(tracing.close)
    codec_pool = CodecPool(min(settings.concurrency, MAX_CODEC_THREADS), settings.codec_bytes)
    handler = Handler(catalog, batcher, guard, scorer, dialects, codec_pool)
    responder = PredictionResponder(handler, codec_pool, settings.max_body_bytes)
    shown = examples.for_starter()
    return _Predictions(
        handler,
        context,
        shown,
        (infer.router(responder, shown), predict.router(catalog, responder, shown), labelled.router(responder)),
        ConnectionLimits(settings.head_seconds, settings.body_seconds, settings.write_seconds, settings.max_body_bytes),
        MemoryBudget(settings.max_bodies_bytes, memory.release_freed_soon),
        settings.allowed_origins,
        tracing,
        codec_pool,
        (batcher.close, *closers, codec_pool.close),
    )


def _serving_grpc(
    settings: Settings,
    lifecycle: Lifecycle,
    predictions: _Predictions,
    catalog: Catalog,
    guard: Guard,
    limits: Limits,
    agreement: Agreement,
    gather: Gather,
) -> AbstractAsyncContextManager[None]:
    """Serves gRPC, where a port is set.

    Args:
        settings, lifecycle, predictions, catalog, guard, limits: of this process.
        agreement: of the replicas, on what is served.
        gather: returns the statistics of the replicas that share this one's port.

    Raises:
        ConfigurationError: gRPC is not installed.
    """
    if settings.grpc_port is None:
        return nullcontext()
    try:
        from service.grpc.build import build_server  # noqa: PLC0415 - slow to import, and an extra
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"grpc_port: {error.name} is not installed: pip install 'denge[grpc]'") from error
    return build_server(
        settings,
        lifecycle,
        guard,
        predictions.context.recorder,
        predictions.bodies,
        predictions.handler,
        catalog,
        limits,
        agreement,
        gather,
        predictions.tracing,
    ).serving()


def _share_drift(membership: Membership, events: Events, webhook: Webhook) -> SharedDrift | None:
    """What replicas know together of drift; None for a replica that serves alone, which judges its rows at once."""
    if not membership.store.is_shared:
        return None
    return SharedDrift(membership, Judge(membership, steady, log_alarm, webhook.deliver), events.publish_alarm)


def _make_recalibrations(membership: Membership, peers: Peers, *args: Any, **options: Any) -> Recalibrations:
    if membership.store.is_shared:
        return SharedRecalibrations(membership, peers, *args, **options)
    return Recalibrations(*args, **options)


def _new_member(settings: Settings, group: WorkerGroup | None) -> Member:
    address, name = (settings.own_address, "") if group is None else (group.address, group.id)
    return Member(id=new_id(), address=address, version=VERSION, started=datetime.now(UTC), group=name)


def _count_requests(statistics: ServiceStatistics) -> int:
    return sum(durations.count for durations in statistics.requests.values())


def _open_tracing(settings: Settings) -> "Tracing | None":
    """Traces, where they are asked for.

    Raises:
        ConfigurationError: OpenTelemetry is not installed.
    """
    if settings.traces == "none":
        return None
    try:
        from service.http.tracing import Tracing  # noqa: PLC0415 - slow to import, and an extra
        from service.telemetry.tracing import open_provider  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"traces: {error.name} is not installed: pip install 'denge[otel]'") from error
    return Tracing(open_provider())


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


def _engine_opener(settings: Settings, limits: Limits) -> Callable[[Bundle], Engine]:
    """Opens the engine that runs the folded graph of a bundle."""

    def open_engine(bundle: Bundle) -> Engine:
        manifest = bundle.manifest
        max_rows = limits.for_model(manifest.batching).max_batch_rows
        sizes = _warm_up_sizes(settings, manifest, max_rows)
        return Engine(
            bundle.folded,
            manifest.inputs,
            settings.provider,
            settings.threads,
            sizes,
            run_seconds=settings.run_seconds,
            batched=manifest.is_batchable,
        )

    return open_engine


def _observed_model_opener(
    settings: Settings, repository: Repository
) -> Callable[[ServedVersion], ObservedModel | None]:
    """Opens the observed graph of a version; None where its bundle has none."""

    def open_observed_model(served: ServedVersion) -> ObservedModel | None:
        observed = repository.read(served.model, served.version).observed
        if observed is None:
            return None
        sizes = _warm_up_sizes(settings, served.manifest, MAX_OBSERVED_ROWS)
        engine = Engine(observed, served.manifest.inputs, settings.provider, 1, sizes, run_seconds=settings.run_seconds)
        memory.release_freed()
        return ObservedModel(served, engine)

    return open_observed_model


def _warm_up_sizes(settings: Settings, manifest: Manifest, max_rows: int) -> tuple[int, ...]:
    """Batch sizes to warm up: a GPU chooses its kernels by shape, which takes long when a shape is new."""
    return buckets(max_rows) if settings.provider == "cuda" and manifest.is_batchable else ()


def _add_routes(app: FastAPI, guard: Guard, routers: Iterable[APIRouter], framework_paths: Sequence[str] = ()) -> None:
    app.router.redirect_slashes = False
    errors.install(app)
    for router in routers:
        app.router.routes += router.routes  # `include_router` would build every route once more
    access.install(app, guard, framework_paths)
