"""The framework's application: all routes, from the parts that they work with."""

from collections.abc import Iterable, Sequence

from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline
from prometheus_client import ProcessCollector

from models.version import VERSION
from service.access import Guard
from service.auto.metrics import AutoMetrics
from service.catalog.metrics import ModelMetrics
from service.composition.late_parts import LateParts
from service.composition.parts import Parts
from service.http import access, errors
from service.http.framework import find_endpoints
from service.http.tls_metrics import CertificateMetrics
from service.replicas.metrics import ReplicaMetrics
from service.replicas.worker_processes import WorkerProcesses
from service.routes import (
    access as access_routes,
)
from service.routes import (
    auto,
    baselines,
    channel_history,
    configuration,
    dashboard,
    description,
    domains,
    drift,
    events,
    examples,
    extensions,
    generate,
    guide,
    health,
    infer,
    labelled,
    labels,
    layers,
    live,
    models,
    overview,
    predict,
    recalibrations,
    replicas,
    repository,
    rollout,
    statistics,
    true_labels,
    v1_models,
)
from service.routes.openapi import TAGS
from service.routes.predictions import PredictionResponder
from service.telemetry.metrics import Metrics
from service.watching.metrics import WatchingMetrics

DESCRIPTION = """
Serves batch-normalised networks, and shows what their normalisation layers remember.

Every example on this page runs as it stands against the starter models. Errors are `{"error": ...}`; every response
carries an `X-Request-ID`, the client's own if it sent one, under which the service's log has the details.
"""

FRAMEWORK_PATHS = ("/openapi.json", "/docs", "/docs/oauth2-redirect", "/static-offline-docs")


def build_framework(parts: Parts, late: LateParts) -> FastAPI:
    """Builds the application of a replica. Its `state.prepare` makes what the first request for it would wait for.

    Raises:
        TypeError: a route does not declare who may use it.
    """
    app = FastAPIOffline(
        title="Denge",
        version=VERSION,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        redoc_url=None,
        swagger_ui_parameters={"tryItOutEnabled": True, "displayRequestDuration": True},
    )
    _add_routes(app, parts.guard, _routers(parts, late), FRAMEWORK_PATHS)
    find_endpoints(app)
    app.state.prepare = description.install(app, parts.settings.root_path).make
    return app


def _routers(parts: Parts, late: LateParts) -> tuple[APIRouter, ...]:
    settings, catalog, rollouts, monitor = parts.settings, parts.catalog, late.rollouts, late.monitor
    reads, agreement, gather = parts.reads, parts.agreement, parts.group_statistics.gather
    codec_pool, max_body_bytes = parts.predictions.codec_pool, settings.max_body_bytes
    processes = ProcessCollector(registry=None) if parts.group is None else WorkerProcesses(parts.group.table)
    metrics = Metrics(
        gather,
        processes,
        ModelMetrics(catalog),
        WatchingMetrics(catalog, monitor),
        ReplicaMetrics(parts.membership, agreement),
        AutoMetrics(late.auto),
        CertificateMetrics(parts.certificate),
    )
    responder = PredictionResponder(parts.predictions.handler, codec_pool, max_body_bytes)
    shown = examples.for_starter()
    estimates_accuracy = settings.estimate_accuracy and settings.watch_percent > 0
    return (
        repository.router(catalog, rollouts, reads, agreement),
        rollout.router(catalog, rollouts, monitor, gather, reads, agreement),
        domains.router(catalog, rollouts, gather, reads, agreement),
        labels.router(rollouts, reads, agreement),
        auto.router(catalog, rollouts, reads, agreement, estimates_accuracy=estimates_accuracy),
        health.router(catalog, metrics, parts.check_readiness),
        replicas.router(parts.membership, parts.peers, late.recalibrations, parts.group_statistics),
        recalibrations.router(catalog, late.recalibrations, codec_pool, max_body_bytes),
        infer.router(responder, shown),
        predict.router(catalog, responder, shown),
        labelled.router(responder),
        generate.router(responder),
        layers.router(catalog, codec_pool, max_body_bytes, shown.layer_batch),
        statistics.router(catalog, gather),  # "/v2/models/stats" before any model's name
        configuration.router(catalog, parts.limits),
        live.router(catalog, monitor),
        channel_history.router(catalog, monitor),
        access_routes.router(parts.guard),
        drift.router(catalog, monitor),
        baselines.router(catalog, monitor),
        true_labels.router(catalog, late.true_classes, parts.peers),
        overview.router(catalog, monitor, gather, reads, processes),
        events.router(late.events, parts.guard),
        models.router(catalog),
        v1_models.router(catalog),
        extensions.router(),
        dashboard.router(has_guide=settings.guide_dir is not None),
        guide.router(settings.guide_dir),
        examples.router(shown),
    )


def _add_routes(app: FastAPI, guard: Guard, routers: Iterable[APIRouter], framework_paths: Sequence[str]) -> None:
    app.router.redirect_slashes = False
    errors.install(app)
    for router in routers:
        app.router.routes += router.routes  # `include_router` would build every route once more
    access.install(app, guard, framework_paths)
