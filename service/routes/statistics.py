"""Statistics, an extension of the Open Inference Protocol: requests, rows and durations of each version."""

from collections.abc import Iterable
from typing import get_args

from fastapi import APIRouter
from pydantic import BaseModel, Field

from service.catalog.catalog import Catalog
from service.catalog.served_version import ServedVersion
from service.http.access import PUBLIC
from service.routes.openapi import api_router, error_responses
from service.routes.parameters import ModelName
from service.routes.versions import for_default_and_named
from service.telemetry.durations import DurationHistogram
from service.telemetry.statistics import MAX_BATCH_SIZES, Gather, Refusal, ServiceStatistics, VersionStatistics


class Duration(BaseModel):
    """How often something happened, and how long it took in total."""

    count: int = 0
    ns: int = Field(0, description="Nanoseconds, summed over all of them.")

    @classmethod
    def of(cls, histogram: DurationHistogram) -> "Duration":
        """Count and sum of a histogram."""
        return cls(count=histogram.count, ns=histogram.nanoseconds)


class InferenceStatistics(BaseModel):
    """Durations of requests and of their parts. Decoding and encoding are counted, but not timed."""

    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    cache_hit: Duration = Duration()
    cache_miss: Duration = Duration()


class BatchStatistics(BaseModel):
    """Durations of runs with the same number of rows."""

    batch_size: int
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration


class ModelStatistics(BaseModel):
    """Statistics of one version since the service started."""

    name: str
    version: str
    last_inference: int = Field(
        description="Time of the last request, in milliseconds since 1970; 0 before the first one."
    )
    inference_count: int = Field(description="Rows predicted.")
    execution_count: int = Field(
        description="Runs of the model. One run predicts the rows of several requests if they were batched."
    )
    inference_stats: InferenceStatistics
    response_stats: dict[str, str] = {}
    batch_stats: list[BatchStatistics] = Field(
        description=f"By the number of rows; of the first {MAX_BATCH_SIZES} numbers that there were in a process."
    )
    pending: int = Field(description="Requests that wait for a run or are in one.")
    refused: dict[str, int] = Field(
        description="Requests refused with 503, by reason: `queue_full`, `evicted` by one with more right to a place, "
        "or `timeout`."
    )
    memory_usage: list[str] = []


class StatisticsList(BaseModel):
    """Statistics of one or more versions."""

    model_stats: list[ModelStatistics]


def versions_of(catalog: Catalog, model: str, version: int | None) -> list[ServedVersion]:
    """One version of a model, or all loaded ones.

    Raises:
        NotFound, NotReady: the version is not loaded.
    """
    numbers = catalog.versions(model) if version is None else [version]
    return [catalog.get(model, number) for number in numbers]


def describe(versions: Iterable[ServedVersion], statistics: ServiceStatistics) -> StatisticsList:
    """Requests, rows and durations of versions."""
    return StatisticsList(
        model_stats=[_describe(served, statistics.of(served.model, served.version)) for served in versions]
    )


def router(catalog: Catalog, gather: Gather) -> APIRouter:
    """Statistics of all models, one model, one version. A model named `stats` has them at its version's path only."""
    routes = api_router("models", PUBLIC)

    @routes.get("/v2/models/stats", summary="Statistics of all models")
    async def get_all_statistics() -> StatisticsList:
        """Requests, rows and durations of every loaded version of every model."""
        return describe(catalog.served(), await gather())

    @for_default_and_named(
        routes, "GET", "/v2/models/{model}/stats", summary="Statistics of a model", responses=error_responses(404, 503)
    )
    async def get_model_statistics(model: ModelName, version: int | None) -> StatisticsList:
        """Requests, rows and durations of one version, or of all loaded versions of the model."""
        return describe(versions_of(catalog, model, version), await gather())

    return routes


def _describe(served: ServedVersion, statistics: VersionStatistics) -> ModelStatistics:
    untimed = Duration(count=statistics.success.count)
    return ModelStatistics(
        name=served.model,
        version=str(served.version),
        last_inference=statistics.last_inference_ms,
        inference_count=statistics.rows,
        execution_count=statistics.runs.count,
        inference_stats=InferenceStatistics(
            success=Duration.of(statistics.success),
            fail=Duration.of(statistics.fail),
            queue=Duration.of(statistics.queue),
            compute_input=untimed,
            compute_infer=Duration(count=statistics.success.count, ns=statistics.runs.nanoseconds),
            compute_output=untimed,
        ),
        batch_stats=[
            BatchStatistics(
                batch_size=rows,
                compute_input=Duration(count=runs.count),
                compute_infer=Duration.of(runs),
                compute_output=Duration(count=runs.count),
            )
            for rows, runs in sorted(statistics.batches.items())
        ],
        pending=statistics.pending,
        refused={reason: statistics.refused[reason] for reason in get_args(Refusal)},
    )
