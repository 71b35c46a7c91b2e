"""create_app(settings): wiring, lifespan, the table of routes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import structlog
from fastapi import FastAPI, Response
from fastapi_offline import FastAPIOffline

from models.repository.repository import Repository
from models.runtime.providers import require_provider, runtime_version
from models.starter import seed
from models.version import VERSION
from service.access import Guard
from service.catalog.catalog import Catalog
from service.catalog.metrics import ModelMetrics
from service.catalog.rollouts import Rollouts
from service.host.lifecycle import Lifecycle
from service.http import access, errors
from service.http.access import PUBLIC
from service.http.direct import Application
from service.predictions import Predictions, engine_starter
from service.recalibrating.collector import Collectors
from service.recalibrating.jobs import Recalibrations
from service.replicas.alone import Alone
from service.replicas.interface import Replicas
from service.routes import configuration, dashboard, examples, health, layers, models, repository, rollout
from service.routes import drift as drift_routes
from service.routes import events as events_routes
from service.routes import live as live_routes
from service.routes import recalibrations as recalibrations_routes
from service.routes import statistics as statistics_routes
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.telemetry.statistics import ServiceStatistics
from service.watching.alarm import teller
from service.watching.events import Events
from service.watching.metrics import DriftMetrics, ObservationMetrics, WebhookMetrics
from service.watching.monitor import SAVE_SECONDS, DriftMonitor
from service.watching.webhook import Webhook

log = structlog.get_logger()

DESCRIPTION = """
Serves batch-normalised networks, and shows what their normalisation layers remember.

Every example on this page runs as it stands against the starter models. Errors are `{"error": ...}`; every answer
carries an `X-Request-ID`, the caller's own where it sent one, under which the service's log has the rest.
"""

SMALL_BODY_BYTES = 1 << 16
"""Of bodies that hold a few parameters."""

FRAMEWORK_PATHS = ("/openapi.json", "/docs", "/docs/oauth2-redirect", "/static-offline-docs")


def create_app(settings: Settings, lifecycle: Lifecycle | None = None, replicas: Replicas | None = None) -> Application:
    """The application, with nothing loaded until its lifespan starts.

    Args:
        settings: all that can be set.
        lifecycle: shared with the server that runs the application.
        replicas: the other processes; none when absent.
    """
    lifecycle = lifecycle or Lifecycle()
    replicas = replicas or Alone()
    guard = Guard(settings.read_admin_token(), settings.read_api_keys())
    store = Repository(settings.repository)
    statistics = ServiceStatistics()
    gather = partial(replicas.gather, statistics)
    open_engine = engine_starter(settings)
    # A process that answers no predictions checks that a version loads, and keeps no session of it.
    start = open_engine if replicas.predicts_here else lambda bundle: open_engine(bundle).release()
    catalog = Catalog(store, start, settings.loaded_versions, partial(replicas.publish_from_thread, "catalog"))
    rollouts = Rollouts(catalog)
    shown = examples.for_starter()
    watch = DriftMonitor(
        catalog, settings.drift_window_rows, settings.false_alarm_rate, settings.state_folder / "watch"
    )
    collectors = Collectors(replicas)
    predictions = Predictions(settings, catalog, guard, statistics, shown, watch.record, collectors.local)
    recalibrations = Recalibrations(
        catalog, settings.state_folder, settings.max_collected_bytes, collectors, known_callers=guard.has_keys
    )
    events = Events(gather, lifecycle)
    webhook = Webhook(settings.webhook_url, settings.read_webhook_key())
    watch.on_alarm_change(teller(events.tell, webhook.tell))
    metrics = Metrics(
        gather,
        replicas.processes,
        ModelMetrics(catalog),
        ObservationMetrics(catalog, watch),
        DriftMetrics(catalog, watch),
        WebhookMetrics(webhook.deliveries),
    )
    replicas.on("delta", watch.receive)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        require_provider(settings.provider)
        if settings.starters:
            await asyncio.to_thread(seed, store)
        await asyncio.to_thread(catalog.load_all)
        await recalibrations.open()
        log.info(
            "ready", version=VERSION, onnxruntime=runtime_version(), provider=settings.provider, models=catalog.names()
        )
        async with webhook.sending(), _saving(watch):
            yield
            await recalibrations.close()
            predictions.close()
        log.info("stopped")

    app = FastAPIOffline(
        title="Denge",
        version=VERSION,
        description=DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
        swagger_ui_parameters={"tryItOutEnabled": True, "displayRequestDuration": True},
    )
    app.router.redirect_slashes = False
    errors.install(app)
    for router in (repository.router(catalog, rollouts), rollout.router(catalog, rollouts, watch, gather)):
        app.include_router(router, max_body_size=SMALL_BODY_BYTES)
    for router in (
        health.router(catalog, metrics, lifecycle),
        recalibrations_routes.router(catalog, recalibrations, settings.max_body_bytes),
        *predictions.routers,
        layers.router(catalog, settings.max_body_bytes, shown.layer_batch),
        statistics_routes.router(catalog, gather),  # "/v2/models/stats" before any model's name
        configuration.router(catalog, settings.limits),
        live_routes.router(catalog, watch),
        drift_routes.router(catalog, watch),
        events_routes.router(events),
        models.router(catalog),
        dashboard.router(),
    ):
        app.router.routes += router.routes  # `include_router` would build every route once more

    @app.get("/docs/seven.png", include_in_schema=False, dependencies=[PUBLIC])
    async def example_image() -> Response:
        return Response(shown.image, media_type="image/png")

    access.install(app, guard, FRAMEWORK_PATHS)

    return predictions.in_front_of(app)


@asynccontextmanager
async def _saving(watch: DriftMonitor) -> AsyncIterator[None]:
    """Write what has been observed now and then, and at the end."""

    async def keep() -> None:
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            await asyncio.to_thread(watch.save)

    keeping = asyncio.create_task(keep())
    yield
    keeping.cancel()
    await asyncio.to_thread(watch.save)
