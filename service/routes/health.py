"""Liveness and readiness of the service and of its models, server metadata, metrics."""

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from models.version import VERSION
from service.catalog.catalog import Catalog
from service.http.access import PUBLIC
from service.replicas.readiness import ReadinessCheck
from service.routes.extensions import OFFERED
from service.routes.openapi import api_router, error_responses
from service.routes.parameters import ModelName
from service.routes.versions import for_default_and_named
from service.telemetry.metrics import Metrics


class Liveness(BaseModel):
    """The process is alive."""

    live: bool = True


class Readiness(BaseModel):
    """The service accepts requests."""

    live: bool = True
    ready: bool = True
    warnings: list[str] | None = Field(
        None, description="What does not work although predictions do: the store that replicas share."
    )


class ModelReadiness(BaseModel):
    """The model is loaded."""

    name: str
    ready: bool = True


class ServerMetadata(BaseModel):
    """Name, version and protocol extensions of the server."""

    name: str = "denge"
    version: str = VERSION
    extensions: tuple[str, ...] = OFFERED


def router(catalog: Catalog, metrics: Metrics, check_readiness: ReadinessCheck) -> APIRouter:
    """Health, server metadata and metrics. Most health checks are answered by `service.http.health`."""
    routes = api_router("health", PUBLIC)

    @routes.get("/v2/health/live", summary="Liveness")
    async def get_liveness() -> Liveness:
        """200 while the process is able to answer."""
        return Liveness()

    @routes.get(
        "/v2/health/ready", summary="Readiness", responses=error_responses(503), response_model_exclude_none=True
    )
    async def get_readiness() -> Readiness:
        """200 if all models are loaded; 503 while the service shuts down, or if a model could not be loaded.

        Without the store that replicas share, predictions go on: the answer is 200 with a warning.
        """
        return Readiness(warnings=check_readiness() or None)

    @for_default_and_named(
        routes, "GET", "/v2/models/{model}/ready", summary="Model readiness", responses=error_responses(404, 503)
    )
    async def get_model_readiness(model: ModelName, version: int | None) -> ModelReadiness:
        """200 if the version is loaded, 503 if it is not."""
        catalog.get(model, version)
        return ModelReadiness(name=model)

    @routes.get("/v2", summary="Server metadata")
    @routes.get("/v2/", include_in_schema=False)
    async def get_server_metadata() -> ServerMetadata:
        """Name and version of the server, and the protocol extensions it implements."""
        return ServerMetadata()

    @routes.get(
        "/metrics",
        summary="Prometheus metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def get_metrics() -> Response:
        """Counters, gauges and histograms of the whole service, all worker processes included."""
        return Response(await metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return routes
