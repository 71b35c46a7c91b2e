"""Re-calibrations, references and quantisations: start, follow and cancel the jobs that make a version."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel

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
from service.wire.recalibration import (
    JobParameters,
    QuantizationParameters,
    RecalibrationParameters,
    ReferenceParameters,
)

JobId = Annotated[str, Path(description="Id of a job.", openapi_examples=example("0123456789abcdef"))]

Wait = Annotated[
    float, Query(ge=0, le=60, description="Seconds to wait for the job to finish.", openapi_examples=example(0))
]

_HEADER = "inference-header-content-length"


def _schema(parameters: type[JobParameters], inputs: str, collect: str) -> dict[str, Any]:
    return {
        "type": "object",
        "description": "Either `inputs` or `collect`."
        + ("" if parameters.needs_rows else " Without both: the held-out rows of the version."),
        "properties": {
            "inputs": {"type": "array", "items": {"type": "object"}, "description": inputs},
            "collect": {
                "type": "integer",
                "minimum": parameters.min_rows,
                "maximum": parameters.max_rows,
                "description": collect,
            },
            "parameters": parameters.model_json_schema(),
        },
    }


_RECALIBRATION_BODY = json_body(
    _schema(
        RecalibrationParameters,
        "Rows, as in an inference request. With one more input `labels` (INT64, a class for each row or -1), accuracy "
        "is a gate as well.",
        "Rows to collect from the requests that the version answers.",
    ),
    {"from traffic": {"value": {"collect": 256, "parameters": {"timeout_seconds": 3600}}}},
)
_REFERENCE_BODY = json_body(
    _schema(
        ReferenceParameters,
        "Rows, as in an inference request.",
        "Rows to collect from the requests that the version answers: traffic that is declared good.",
    ),
    {"from traffic": {"value": {"collect": 5000, "parameters": {"timeout_seconds": 86400}}}},
)


_QUANTIZATION_BODY = json_body(
    _schema(
        QuantizationParameters,
        "Rows that the model was not trained on, as in an inference request. With one more input `labels` (INT64, a "
        "class for each row or -1), accuracies are compared.",
        "Rows to collect from the requests that the version answers.",
    ),
    {"held-out rows": {"value": {"parameters": {"tolerance": 0.5}}}},
)


class JobList(BaseModel):
    """The re-calibrations of a model, latest first."""

    recalibrations: list[Job]


class ReferenceList(BaseModel):
    """The jobs that estimate a reference for a model, latest first."""

    references: list[Job]


class QuantizationList(BaseModel):
    """The quantisations of a model, latest first."""

    quantizations: list[Job]


_Start = Callable[[str, int | None, Request, type[JobParameters]], Awaitable[Job]]


def router(catalog: Catalog, recalibrations: Recalibrations, codec_pool: CodecPool, max_body_bytes: int) -> APIRouter:
    """Re-calibrations, references and quantisations of models."""
    routes = api_router("recalibration")

    async def start(
        model: str,
        version: int | None,
        request: Request,
        parameters: type[JobParameters],
    ) -> Job:
        served = catalog.get(model, version)
        manifest = served.manifest
        parameters.require_capability(manifest)
        body = await read_body(request.scope, request.receive, max_body_bytes, codec_pool)
        length, tensors = request.headers.get(_HEADER), (manifest.inputs, manifest.outputs)
        await recalibrations.refresh()
        decode = partial(recalibration.decode, body, length, *tensors, parameters)
        decoded = await codec_pool.run(client_address(request.scope), 2 * len(body), decode)
        return await recalibrations.start(served, decoded)

    _add_quantizations(routes, catalog, recalibrations, start)

    @for_default_and_named(
        routes,
        "POST",
        "/v2/models/{model}/recalibrations",
        summary="Start a re-calibration",
        status_code=202,
        dependencies=[ADMIN],
        responses=error_responses(400, 401, 403, 404, 413, 415, 503),
        openapi_extra=_RECALIBRATION_BODY,
    )
    async def start_recalibration(model: ModelName, version: int | None, request: Request) -> Job:
        """Estimate the statistics of a new version from rows in the request, or from rows of the traffic.

        The new version is published and loaded if it passes its gates. It answers only requests that name it, until it
        is promoted.
        """
        return await start(model, version, request, RecalibrationParameters)

    @for_default_and_named(
        routes,
        "POST",
        "/v2/models/{model}/reference",
        summary="Estimate a reference",
        status_code=202,
        dependencies=[ADMIN],
        responses=error_responses(400, 401, 403, 404, 413, 415, 503),
        openapi_extra=_REFERENCE_BODY,
    )
    async def start_reference(model: ModelName, version: int | None, request: Request) -> Job:
        """Make a new version whose drift is judged against rows that are declared good: sent, or of the traffic.

        The graphs stay as they are. The new version is published and loaded if it passes its gates, and answers only
        requests that name it, until it is promoted.
        """
        return await start(model, version, request, ReferenceParameters)

    @routes.get(
        "/v2/models/{model}/reference",
        summary="List jobs of references",
        dependencies=[PUBLIC],
        responses=error_responses(404, 503),
    )
    async def list_references(model: ModelName) -> ReferenceList:
        """All open jobs that estimate a reference for a model, and the latest finished ones."""
        catalog.get(model)
        await recalibrations.refresh()
        return ReferenceList(references=recalibrations.jobs_of(model, "reference"))

    @routes.get(
        "/v2/models/{model}/reference/{job}",
        summary="Progress of a reference",
        dependencies=[PUBLIC],
        responses=error_responses(404),
    )
    async def get_reference(model: ModelName, job: JobId, wait: Wait = 0) -> Job:
        """State and gates of a job, now or when it is finished."""
        await recalibrations.refresh()
        return await recalibrations.wait(model, job, wait, "reference")

    @routes.delete(
        "/v2/models/{model}/reference/{job}",
        summary="Cancel a reference",
        dependencies=[ADMIN],
        responses=error_responses(400, 401, 403, 404),
    )
    async def cancel_reference(model: ModelName, job: JobId) -> Job:
        """Stop a job that is not finished. Its record stays."""
        await recalibrations.refresh()
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
        await recalibrations.refresh()
        return JobList(recalibrations=recalibrations.jobs_of(model))

    @routes.get(
        "/v2/models/{model}/recalibrations/{job}",
        summary="Progress of a re-calibration",
        dependencies=[PUBLIC],
        responses=error_responses(404),
    )
    async def get_recalibration(model: ModelName, job: JobId, wait: Wait = 0) -> Job:
        """State and gates of a re-calibration, now or when it is finished."""
        await recalibrations.refresh()
        return await recalibrations.wait(model, job, wait)

    @routes.delete(
        "/v2/models/{model}/recalibrations/{job}",
        summary="Cancel a re-calibration",
        dependencies=[ADMIN],
        responses=error_responses(400, 401, 403, 404),
    )
    async def cancel_recalibration(model: ModelName, job: JobId) -> Job:
        """Stop a re-calibration that is not finished. Its record stays."""
        await recalibrations.refresh()
        return await recalibrations.cancel(model, job)

    return routes


def _add_quantizations(routes: APIRouter, catalog: Catalog, recalibrations: Recalibrations, start: _Start) -> None:
    @for_default_and_named(
        routes,
        "POST",
        "/v2/models/{model}/quantizations",
        summary="Start a quantisation",
        status_code=202,
        dependencies=[ADMIN],
        responses=error_responses(400, 401, 403, 404, 413, 415, 503),
        openapi_extra=_QUANTIZATION_BODY,
    )
    async def start_quantization(model: ModelName, version: int | None, request: Request) -> Job:
        """Make a version that computes in 8 bits, compare it with its parent, and time both.

        It is published and loaded if it is faster on this machine and loses no more than is tolerated. It answers only
        requests that name it, until it is promoted.
        """
        return await start(model, version, request, QuantizationParameters)

    @routes.get(
        "/v2/models/{model}/quantizations",
        summary="List quantisations",
        dependencies=[PUBLIC],
        responses=error_responses(404, 503),
    )
    async def list_quantizations(model: ModelName) -> QuantizationList:
        """All open quantisations of a model, and the latest finished ones."""
        catalog.get(model)
        await recalibrations.refresh()
        return QuantizationList(quantizations=recalibrations.jobs_of(model, "quantization"))

    @routes.get(
        "/v2/models/{model}/quantizations/{job}",
        summary="Progress of a quantisation",
        dependencies=[PUBLIC],
        responses=error_responses(404),
    )
    async def get_quantization(model: ModelName, job: JobId, wait: Wait = 0) -> Job:
        """State and gates of a quantisation, now or when it is finished."""
        await recalibrations.refresh()
        return await recalibrations.wait(model, job, wait, "quantization")

    @routes.delete(
        "/v2/models/{model}/quantizations/{job}",
        summary="Cancel a quantisation",
        dependencies=[ADMIN],
        responses=error_responses(400, 401, 403, 404),
    )
    async def cancel_quantization(model: ModelName, job: JobId) -> Job:
        """Stop a quantisation that is not finished. Its record stays."""
        await recalibrations.refresh()
        return await recalibrations.cancel(model, job, "quantization")
