"""create_app(settings): wiring, lifespan, the table of routes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI, Response
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline
from starlette.types import ASGIApp

from models.bundle import Bundle
from models.repository import Repository
from models.starter import seed
from service import access, errors, examples
from service.access import PUBLIC, Guard
from service.batcher import Batcher
from service.catalog import Catalog
from service.engine import Engine, require_provider, runtime_version
from service.fast_path import FastPath
from service.logs import request_logger
from service.metrics import Metrics
from service.requests import RequestContext
from service.routes import configuration, health, images, infer, layers, models, predict, repository
from service.routes import statistics as statistics_routes
from service.settings import Settings
from service.state import ServiceState
from service.statistics import Statistics
from service.version import VERSION

log = structlog.get_logger()

DESCRIPTION = """
Serves batch-normalised networks, and shows what their normalisation layers remember.

Every example on this page runs as it stands against the starter models. Errors are `{"error": ...}`; every answer
carries an `X-Request-ID`, the caller's own where it sent one, under which the service's log has the rest.
"""

FRAMEWORK_PATHS = ("/openapi.json", "/docs", "/docs/oauth2-redirect", "/static-offline-docs")


def create_app(settings: Settings, state: ServiceState | None = None) -> ASGIApp:
    """The application, with nothing loaded until its lifespan starts.

    Args:
        settings: all that can be set.
        state: shared with the server that runs the application.
    """

    def start_engine(bundle: Bundle) -> Engine:
        return Engine(bundle.folded, bundle.manifest.inputs, settings.provider, settings.threads)

    guard = Guard(settings.read_admin_token(), settings.read_api_keys())
    store = Repository(settings.repository)
    catalog = Catalog(store, start_engine, settings.loaded_versions)
    statistics = Statistics()

    async def gather() -> Statistics:
        return statistics

    metrics = Metrics(catalog, gather)
    batcher = Batcher(statistics, settings.limits)
    inference = infer.Infer(catalog, batcher, settings.max_body_bytes, finite=settings.finite)
    state = state or ServiceState()
    shown = examples.for_starter()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        require_provider(settings.provider)
        if settings.starters:
            await asyncio.to_thread(seed, store)
        await asyncio.to_thread(catalog.load_all)
        log.info(
            "ready", version=VERSION, onnxruntime=runtime_version(), provider=settings.provider, models=catalog.names()
        )
        yield
        batcher.close()
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
    app.include_router(health.router(catalog, metrics, state))
    app.include_router(repository.router(catalog))
    app.include_router(infer.router(inference, shown))
    app.include_router(predict.router(catalog, batcher, shown, settings.max_body_bytes, finite=settings.finite))
    app.include_router(images.router(catalog, batcher, settings.max_body_bytes, settings.max_image_pixels))
    app.include_router(layers.router(catalog, settings.max_body_bytes, shown.layer_batch))
    app.include_router(statistics_routes.router(catalog, gather))  # "/v2/models/stats" before any model's name
    app.include_router(configuration.router(catalog, settings.limits))
    app.include_router(models.router(catalog))

    @app.get("/", include_in_schema=False, dependencies=[PUBLIC])
    async def root() -> RedirectResponse:
        return RedirectResponse("docs")

    @app.get("/docs/seven.png", include_in_schema=False, dependencies=[PUBLIC])
    async def example_image() -> Response:
        return Response(shown.image, media_type="image/png")

    access.install(app, guard, FRAMEWORK_PATHS)

    # Outside of the framework: its own layers cost as much as a small model.
    write = request_logger(settings.log_level, settings.log_format)
    return RequestContext(FastPath(app, inference, guard), statistics, write)
