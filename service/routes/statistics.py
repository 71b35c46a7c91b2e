"""The statistics extension: what each version has done, and how long it took."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from service.catalog.catalog import Catalog
from service.catalog.served_version import ServedVersion
from service.http.access import PUBLIC
from service.routes.answers import errors
from service.routes.models import ModelName, Version
from service.telemetry.durations import DurationHistogram
from service.telemetry.statistics import Gather, ServiceStatistics


class Duration(BaseModel):
    """How often, and how many nanoseconds altogether."""

    count: int = 0
    ns: int = 0

    @classmethod
    def of(cls, tally: DurationHistogram) -> "Duration":
        """From the service's own count."""
        return cls(count=tally.count, ns=tally.nanoseconds)


class InferenceStatistics(BaseModel):
    """Times of requests and of their parts. Decoding and encoding are not timed by themselves."""

    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    cache_hit: Duration = Duration()
    cache_miss: Duration = Duration()


class BatchStatistics(BaseModel):
    """Times of runs with this many rows."""

    batch_size: int
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration


class ModelStatistics(BaseModel):
    """One version since the service started."""

    name: str
    version: str
    last_inference: int = Field(description="milliseconds since 1970; 0 before the first")
    inference_count: int = Field(description="rows answered")
    execution_count: int = Field(description="runs of the model")
    inference_stats: InferenceStatistics
    response_stats: dict[str, str] = {}
    batch_stats: list[BatchStatistics]
    memory_usage: list[str] = []


class StatisticsList(BaseModel):
    """Versions that answer."""

    model_stats: list[ModelStatistics]


def router(catalog: Catalog, gather: Gather) -> APIRouter:
    """Statistics of all models, one model, one version. A model called `stats` has them under its version only."""
    routes = APIRouter(tags=["models"], dependencies=[PUBLIC])

    def describe(served: ServedVersion, statistics: ServiceStatistics) -> ModelStatistics:
        found = statistics.of(served.model, served.version)
        untimed = Duration(count=found.success.count)
        return ModelStatistics(
            name=served.model,
            version=str(served.version),
            last_inference=found.last_inference_ms,
            inference_count=found.rows,
            execution_count=found.runs.count,
            inference_stats=InferenceStatistics(
                success=Duration.of(found.success),
                fail=Duration.of(found.fail),
                queue=Duration.of(found.queue),
                compute_input=untimed,
                compute_infer=Duration(count=found.success.count, ns=found.runs.nanoseconds),
                compute_output=untimed,
            ),
            batch_stats=[
                BatchStatistics(
                    batch_size=rows,
                    compute_input=Duration(count=tally.count),
                    compute_infer=Duration.of(tally),
                    compute_output=Duration(count=tally.count),
                )
                for rows, tally in sorted(found.batches.items())
            ],
        )

    @routes.get("/v2/models/stats", summary="What have the models done?")
    async def all_statistics() -> StatisticsList:
        statistics = await gather()
        return StatisticsList(model_stats=[describe(served, statistics) for served in catalog.served()])

    @routes.get("/v2/models/{model}/stats", summary="What has this model done?", responses=errors(404, 503))
    async def model_statistics(model: ModelName) -> StatisticsList:
        versions = [catalog.get(model, version) for version in catalog.versions(model)]
        statistics = await gather()
        return StatisticsList(model_stats=[describe(served, statistics) for served in versions])

    @routes.get(
        "/v2/models/{model}/versions/{version}/stats",
        summary="What has this version done?",
        responses=errors(404, 503),
    )
    async def version_statistics(model: ModelName, version: Version) -> StatisticsList:
        return StatisticsList(model_stats=[describe(catalog.get(model, version), await gather())])

    return routes
