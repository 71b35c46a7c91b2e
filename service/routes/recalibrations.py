"""Re-calibrations: start, follow and cancel them."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel

from models import capabilities
from models.recalibration.limits import MAX_ROWS_TO_ESTIMATE, MIN_ROWS_TO_ESTIMATE
from service.catalog.catalog import Catalog
from service.host.codec_pool import CodecPool
from service.http.access import ADMIN, PUBLIC, client_address
from service.http.bodies import read_body
from service.recalibrating.job import Job
from service.recalibrating.jobs import Recalibrations
from service.routes.openapi import api_router, error_responses, example, json_body
from service.routes.parameters import ModelName
from service.routes.versions import for_default_and_named
from service.wire import recalibration
from service.wire.recalibration import RecalibrationParameters

JobId = Annotated[str, Path(description="Id of a re-calibration.", openapi_examples=example("0123456789abcdef"))]

Wait = Annotated[
    float, Query(ge=0, le=60, description="Seconds to wait for the job to finish.", openapi_examples=example(0))
]

_HEADER = "inference-header-content-length"
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "Either `inputs` or `collect`.",
    "properties": {
        "inputs": {
            "type": "array",
            "items": {"type": "object"},
            "description": "Rows, as in an inference request. With one more input `labels` (INT64, a class for each "
            "row or -1), accuracy is a gate as well.",
        },
        "collect": {
            "type": "integer",
            "minimum": MIN_ROWS_TO_ESTIMATE,
            "maximum": MAX_ROWS_TO_ESTIMATE,
            "description": "Rows to collect from the requests that the version answers.",
        },
        "parameters": RecalibrationParameters.model_json_schema(),
    },
}
_EXAMPLES = {"from traffic": {"value": {"collect": 256, "parameters": {"timeout_seconds": 3600}}}}


class JobList(BaseModel):
    """The re-calibrations of a model, latest first."""

    recalibrations: list[Job]


def router(catalog: Catalog, recalibrations: Recalibrations, codec_pool: CodecPool, max_body_bytes: int) -> APIRouter:
    """Re-calibrations of models."""
    routes = api_router("recalibration")

    @for_default_and_named(
        routes,
        "POST",
        "/v2/models/{model}/recalibrations",
        summary="Start a re-calibration",
        status_code=202,
        dependencies=[ADMIN],
        responses=error_responses(400, 401, 403, 404, 413, 415, 503),
        openapi_extra=json_body(_SCHEMA, _EXAMPLES),
    )
    async def start_recalibration(model: ModelName, version: int | None, request: Request) -> Job:
        """Estimate the statistics of a new version from rows in the request, or from rows of the traffic.

        The new version is published and loaded if it passes its gates. It answers only requests that name it, until it
        is promoted.
        """
        served = catalog.get(model, version)
        capabilities.require(served.manifest, "recalibration")
        body = await read_body(request.scope, request.receive, max_body_bytes, codec_pool)
        manifest = served.manifest
        decode = partial(recalibration.decode, body, request.headers.get(_HEADER), manifest.inputs, manifest.outputs)
        decoded = await codec_pool.run(client_address(request.scope), 2 * len(body), decode)
        return await recalibrations.start(served, decoded)

    @routes.get(
        "/v2/models/{model}/recalibrations",
        summary="List re-calibrations",
        dependencies=[PUBLIC],
        responses=error_responses(404, 503),
    )
    async def list_recalibrations(model: ModelName) -> JobList:
        """All open re-calibrations of a model, and the latest finished ones."""
        catalog.get(model)
        return JobList(recalibrations=recalibrations.jobs_of(model))

    @routes.get(
        "/v2/models/{model}/recalibrations/{job}",
        summary="Progress of a re-calibration",
        dependencies=[PUBLIC],
        responses=error_responses(404),
    )
    async def get_recalibration(model: ModelName, job: JobId, wait: Wait = 0) -> Job:
        """State and gates of a re-calibration, now or when it is finished."""
        return await recalibrations.wait(model, job, wait)

    @routes.delete(
        "/v2/models/{model}/recalibrations/{job}",
        summary="Cancel a re-calibration",
        dependencies=[ADMIN],
        responses=error_responses(400, 401, 403, 404),
    )
    async def cancel_recalibration(model: ModelName, job: JobId) -> Job:
        """Stop a re-calibration that is not finished. Its record stays."""
        return await recalibrations.cancel(model, job)

    return routes
