"""Re-calibrations: begin one, see how far it is, cancel it."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel

from service.catalog.catalog import Catalog
from service.http.access import ADMIN, PUBLIC
from service.http.bodies import read_body
from service.recalibrating.job import Job
from service.recalibrating.jobs import Recalibrations
from service.routes.openapi import api_router, error_responses, example, json_body
from service.routes.parameters import ModelName
from service.routes.versions import for_default_and_named
from service.wire import recalibration
from service.wire.recalibration import RecalibrationParameters

JobId = Annotated[str, Path(description="of a re-calibration", openapi_examples={"one": {"value": "0123456789abcdef"}})]

Wait = Annotated[float, Query(ge=0, le=60, description="seconds to wait until it is over", openapi_examples=example(0))]

_HEADER = "inference-header-content-length"
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "inputs": {
            "type": "array",
            "items": {"type": "object"},
            "description": "rows, as an inference request has them; with an input `labels`, INT64, a class for each "
            "row or -1, accuracy is a gate as well",
        },
        "collect": {"type": "integer", "description": "how many rows of the traffic to collect instead"},
        "parameters": RecalibrationParameters.model_json_schema(),
    },
}
_EXAMPLES = {"from traffic": {"value": {"collect": 256, "parameters": {"timeout_seconds": 3600}}}}


class JobList(BaseModel):
    """The re-calibrations of a model, the latest first."""

    recalibrations: list[Job]


def router(catalog: Catalog, recalibrations: Recalibrations, max_body_bytes: int) -> APIRouter:
    """Jobs: what is published answers only where it is named, until it is promoted."""
    routes = api_router("recalibration")
    refused = error_responses(400, 401, 403, 404, 413, 415, 503)

    @for_default_and_named(
        routes,
        "POST",
        "/v2/models/{model}/recalibrations",
        summary="Start a re-calibration",
        status_code=202,
        dependencies=[ADMIN],
        responses=refused,
        openapi_extra=json_body(_SCHEMA, _EXAMPLES),
    )
    async def start_recalibration(model: ModelName, version: int | None, request: Request) -> Job:
        """Estimate the statistics of a new version from rows in the request, or from rows of the traffic."""
        served = catalog.get(model, version)
        body = await read_body(request.scope, request.receive, max_body_bytes)
        manifest = served.manifest
        asked = await asyncio.to_thread(
            recalibration.decode, body, request.headers.get(_HEADER), manifest.inputs, manifest.outputs
        )
        return await recalibrations.start(served, asked)

    @routes.get(
        "/v2/models/{model}/recalibrations",
        summary="Which re-calibrations are there?",
        dependencies=[PUBLIC],
        responses=error_responses(404, 503),
    )
    async def jobs(model: ModelName) -> JobList:
        catalog.get(model)
        return JobList(recalibrations=recalibrations.jobs_of(model))

    @routes.get(
        "/v2/models/{model}/recalibrations/{job}",
        summary="How far is a re-calibration?",
        dependencies=[PUBLIC],
        responses=error_responses(404),
    )
    async def state(model: ModelName, job: JobId, wait: Wait = 0) -> Job:
        return await recalibrations.wait(model, job, wait)

    @routes.delete(
        "/v2/models/{model}/recalibrations/{job}",
        summary="Cancel a re-calibration",
        dependencies=[ADMIN],
        responses=error_responses(400, 401, 403, 404),
    )
    async def cancel(model: ModelName, job: JobId) -> Job:
        return await recalibrations.cancel(model, job)

    return routes
