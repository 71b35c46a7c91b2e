"""Is the service alive, is it ready, what is it."""

from fastapi import APIRouter, Response
from pydantic import BaseModel

from models.errors import NotReady
from models.version import VERSION
from service.catalog.catalog import Catalog
from service.host.lifecycle import Lifecycle
from service.http.access import PUBLIC
from service.routes.answers import errors
from service.routes.models import ModelName, Version
from service.telemetry.metrics import Metrics

EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "parameters",
    "schedule_policy",
    "statistics",
)


class Live(BaseModel):
    """The process answers."""

    live: bool = True


class Ready(BaseModel):
    """Requests are welcome."""

    live: bool = True
    ready: bool = True


class ModelReady(BaseModel):
    """The model answers."""

    name: str
    ready: bool = True


class ServerMetadata(BaseModel):
    """Name, version and extensions of the server."""

    name: str = "denge"
    version: str = VERSION
    extensions: tuple[str, ...] = EXTENSIONS


def router(catalog: Catalog, metrics: Metrics, state: Lifecycle) -> APIRouter:
    """Health of the service and of its models, server metadata, and metrics."""
    routes = APIRouter(tags=["health"], dependencies=[PUBLIC])

    @routes.get("/v2/health/live", summary="Is the process alive?")
    async def live() -> Live:
        return Live()

    @routes.get("/v2/health/ready", summary="Does the service take requests?", responses=errors(503))
    async def ready() -> Ready:
        if state.stopping:
            raise NotReady("the service is shutting down")
        if not catalog.is_ready:
            raise NotReady("a model could not be loaded; POST /v2/repository/index says which and why")
        return Ready()

    @routes.get("/v2/models/{model}/ready", summary="Does this model answer?", responses=errors(404, 503))
    async def model_ready(model: ModelName) -> ModelReady:
        catalog.get(model)
        return ModelReady(name=model)

    @routes.get(
        "/v2/models/{model}/versions/{version}/ready",
        summary="Does this version answer?",
        responses=errors(404, 503),
    )
    async def version_ready(model: ModelName, version: Version) -> ModelReady:
        catalog.get(model, version)
        return ModelReady(name=model)

    @routes.get("/v2", summary="What server is this?")
    @routes.get("/v2/", include_in_schema=False)
    async def server_metadata() -> ServerMetadata:
        return ServerMetadata()

    @routes.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def exposition() -> Response:
        return Response(await metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return routes
