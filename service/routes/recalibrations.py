"""Re-calibrations and references: start, follow and cancel the jobs that make a version from rows."""

from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel

from models import capabilities
from models.recalibration.limits import (
    MAX_REFERENCE_ROWS,
    MAX_ROWS_TO_ESTIMATE,
    MIN_REFERENCE_ROWS,
    MIN_ROWS_TO_ESTIMATE,
)
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
from service.wire.recalibration import RecalibrationParameters, ReferenceParameters

JobId = Annotated[str, Path(description="Id of a job.", openapi_examples=example("0123456789abcdef"))]

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


_REFERENCE_SCHEMA: dict[str, Any] = {
    **_SCHEMA,
    "properties": {
        "inputs": {"type": "array", "items": {"type": "object"}, "description": "Rows, as in an inference request."},
        "collect": {
            "type": "integer",
            "minimum": MIN_REFERENCE_ROWS,
            "maximum": MAX_REFERENCE_ROWS,
            "description": "Rows to collect from the requests that the version answers: traffic that is declared good.",
        },
        "parameters": ReferenceParameters.model_json_schema(),
    },
}
_REFERENCE_EXAMPLES = {"from traffic": {"value": {"collect": 5000, "parameters": {"timeout_seconds": 86400}}}}


class JobList(BaseModel):
    """The re-calibrations of a model, latest first."""

    recalibrations: list[Job]


class ReferenceList(BaseModel):
    """The jobs that estimate a reference for a model, latest first."""

    references: list[Job]


def router(catalog: Catalog, recalibrations: Recalibrations, codec_pool: CodecPool, max_body_bytes: int) -> APIRouter:
    """Re-calibrations and references of models."""
    routes = api_router("recalibration")

    async def start(
        model: str,
        version: int | None,
        request: Request,
        capability: Literal["recalibration", "reference"],
        parameters: type[ReferenceParameters],
    ) -> Job:
        served = catalog.get(model, version)
        manifest = served.manifest
        capabilities.require(manifest, capability)
        body = await read_body(request.scope, request.receive, max_body_bytes, codec_pool)
        length, tensors = request.headers.get(_HEADER), (manifest.inputs, manifest.outputs)
        decode = partial(recalibration.decode, body, length, *tensors, parameters)
        decoded = await codec_pool.run(client_address(request.scope), 2 * len(body), decode)
        return await recalibrations.start(served, decoded)

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
        return await start(model, version, request, "recalibration", RecalibrationParameters)

    @for_default_and_named(
        routes,
        "POST",
        "/v2/models/{model}/reference",
        summary="Estimate a reference",
        status_code=202,
        dependencies=[ADMIN],
        responses=error_responses(400, 401, 403, 404, 413, 415, 503),
        openapi_extra=json_body(_REFERENCE_SCHEMA, _REFERENCE_EXAMPLES),
    )
    async def start_reference(model: ModelName, version: int | None, request: Request) -> Job:
        """Make a new version whose drift is judged against rows that are declared good: sent, or of the traffic.

        The graphs stay as they are. The new version is published and loaded if it passes its gates, and answers only
        requests that name it, until it is promoted.
        """
        return await start(model, version, request, "reference", ReferenceParameters)

    @routes.get(
        "/v2/models/{model}/reference",
        summary="List jobs of references",
        dependencies=[PUBLIC],
        responses=error_responses(404, 503),
    )
    async def list_references(model: ModelName) -> ReferenceList:
        """All open jobs that estimate a reference for a model, and the latest finished ones."""
        catalog.get(model)
        return ReferenceList(references=recalibrations.jobs_of(model, "reference"))

    @routes.get(
        "/v2/models/{model}/reference/{job}",
        summary="Progress of a reference",
        dependencies=[PUBLIC],
        responses=error_responses(404),
    )
    async def get_reference(model: ModelName, job: JobId, wait: Wait = 0) -> Job:
        """State and gates of a job, now or when it is finished."""
        return await recalibrations.wait(model, job, wait, "reference")

    @routes.delete(
        "/v2/models/{model}/reference/{job}",
        summary="Cancel a reference",
        dependencies=[ADMIN],
        responses=error_responses(400, 401, 403, 404),
    )
    async def cancel_reference(model: ModelName, job: JobId) -> Job:
        """Stop a job that is not finished. Its record stays."""
        return await recalibrations.cancel(model, job, "reference")

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
