"""Re-calibrations, references and quantisations: start, follow and cancel the jobs that make a version."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel

from models.errors import InvalidInput
from service.catalog.catalog import Catalog
from service.catalog.served_version import ServedVersion
from service.host.codec_pool import CodecPool
from service.http.access import ADMIN, PUBLIC
from service.http.bodies import read_body
from service.http.scopes import client_address
from service.recalibrating.job import Job, JobNotFound
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


class JobList(BaseModel):
    """The re-calibrations of a model, latest first."""

    recalibrations: list[Job]


class ReferenceList(BaseModel):
    """The jobs that estimate a reference for a model, latest first."""

    references: list[Job]


class QuantizationList(BaseModel):
    """The quantisations of a model, latest first."""

    quantizations: list[Job]


@dataclass(frozen=True)
class _Kind:
    """A kind of job, as its paths describe it.

    Attributes:
        parameters: of a request.
        list_class: of the answer that lists the jobs, in its one field.
        path: last part of the paths.
        noun, plural: of the job, for summaries.
        jobs, job: what is listed, and what is followed and cancelled.
        start: summary of the path that starts a job.
        about: description of that path.
        inputs, collect: descriptions of these members of its body.
        examples: of the body.
    """

    parameters: type[JobParameters]
    list_class: type[BaseModel]
    path: str
    noun: str
    plural: str
    jobs: str
    job: str
    start: str
    about: str
    inputs: str
    collect: str
    examples: dict[str, dict[str, Any]]

    @property
    def body(self) -> dict[str, Any]:
        """The description of the body that starts a job."""
        needed = "" if self.parameters.needs_rows else " Without both: the held-out rows of the version."
        collect = {"minimum": self.parameters.min_rows, "maximum": self.parameters.max_rows}
        schema = {
            "type": "object",
            "description": f"Either `inputs` or `collect`.{needed}",
            "properties": {
                "inputs": {"type": "array", "items": {"type": "object"}, "description": self.inputs},
                "collect": {"type": "integer", **collect, "description": self.collect},
                "parameters": self.parameters.model_json_schema(),
            },
        }
        return json_body(schema, self.examples)


_KINDS = (
    _Kind(
        RecalibrationParameters,
        JobList,
        path="recalibrations",
        noun="re-calibration",
        plural="re-calibrations",
        jobs="re-calibrations of a model",
        job="re-calibration",
        start="Start a re-calibration",
        about="Estimate the statistics of a new version from rows in the request, or from rows of the traffic.\n\n"
        "The new version is published and loaded if it passes its gates. It answers only requests that name it, "
        "until it\nis promoted.",
        inputs="Rows, as in an inference request. With one more input `labels` (INT64, a class for each row, -1 if it "
        "is not known, -2 for none of the model's), accuracy is a gate as well.",
        collect="Rows to collect from the requests that the version answers.",
        examples={"from traffic": {"value": {"collect": 256, "parameters": {"timeout_seconds": 3600}}}},
    ),
    _Kind(
        ReferenceParameters,
        ReferenceList,
        path="reference",
        noun="reference",
        plural="jobs of references",
        jobs="jobs that estimate a reference for a model",
        job="job",
        start="Estimate a reference",
        about="Make a new version whose drift is judged against rows that are declared good: sent, or of the "
        "traffic.\n\n"
        "The graphs stay as they are. The new version is published and loaded if it passes its gates, and answers "
        "only\nrequests that name it, until it is promoted.",
        inputs="Rows, as in an inference request.",
        collect="Rows to collect from the requests that the version answers: traffic that is declared good.",
        examples={"from traffic": {"value": {"collect": 5000, "parameters": {"timeout_seconds": 86400}}}},
    ),
    _Kind(
        QuantizationParameters,
        QuantizationList,
        path="quantizations",
        noun="quantisation",
        plural="quantisations",
        jobs="quantisations of a model",
        job="quantisation",
        start="Start a quantisation",
        about="Make a version that computes in 8 bits, compare it with its parent, and time both.\n\n"
        "It is published and loaded if it is faster on this machine and loses no more than is tolerated. It answers "
        "only\nrequests that name it, until it is promoted.",
        inputs="Rows that the model was not trained on, as in an inference request. With one more input `labels` "
        "(INT64, a class for each row or -1), accuracies are compared.",
        collect="Rows to collect from the requests that the version answers.",
        examples={"held-out rows": {"value": {"parameters": {"tolerance": 0.5}}}},
    ),
)


def router(catalog: Catalog, recalibrations: Recalibrations, codec_pool: CodecPool, max_body_bytes: int) -> APIRouter:
    """Re-calibrations, references and quantisations of models."""
    routes = api_router("recalibration")

    async def start(model: str, version: int | None, request: Request, parameters: type[JobParameters]) -> Job:
        served = catalog.get(model, version)
        manifest = served.manifest
        parameters.require_capability(manifest)
        body = await read_body(request.scope, request.receive, max_body_bytes, codec_pool)
        length, tensors = request.headers.get(_HEADER), (manifest.inputs, manifest.outputs)
        await recalibrations.refresh()
        decode = partial(recalibration.decode, body, length, *tensors, parameters)
        decoded = await codec_pool.run(client_address(request.scope), 2 * len(body), decode)
        _require_made_from(catalog, served, decoded.answered_by)
        return await recalibrations.start(served, decoded)

    for kind in _KINDS:
        _add(routes, kind, catalog, recalibrations, partial(start, parameters=kind.parameters))
    return routes


def _require_made_from(catalog: Catalog, served: ServedVersion, answered_by: int | None) -> None:
    """Check that the version whose rows are collected has the weights of the one to start from."""
    if answered_by is None:
        return
    if catalog.get(served.model, answered_by).manifest.lineage.recalibrated_from != served.version:
        raise InvalidInput(
            f"version {answered_by} was not re-calibrated from version {served.version}", "parameters.answered_by"
        )


@contextmanager
def _naming_what_is_missing(catalog: Catalog, model: str) -> Iterator[None]:
    """Where there is no such job, say so of the model first. A job outlives the serving of its model."""
    try:
        yield
    except JobNotFound:
        catalog.get(model)
        raise


def _add(
    routes: APIRouter,
    kind: _Kind,
    catalog: Catalog,
    recalibrations: Recalibrations,
    start: Callable[[str, int | None, Request], Awaitable[Job]],
) -> None:
    """Add the paths of a kind of job."""
    name, path = kind.parameters.kind, f"/v2/models/{{model}}/{kind.path}"
    (listed,) = kind.list_class.model_fields

    async def start_job(model: ModelName, version: int | None, request: Request) -> Job:
        return await start(model, version, request)

    start_job.__name__, start_job.__doc__ = f"start_{name}", kind.about
    for_default_and_named(
        routes,
        "POST",
        path,
        summary=kind.start,
        status_code=202,
        dependencies=[ADMIN],
        responses=error_responses(400, 401, 403, 404, 413, 415, 503),
        openapi_extra=kind.body,
    )(start_job)

    @routes.get(
        path,
        name=f"list_{listed}",
        summary=f"List {kind.plural}",
        description=f"All open {kind.jobs}, and the latest finished ones.",
        response_model=kind.list_class,
        dependencies=[PUBLIC],
        responses=error_responses(404, 503),
    )
    async def list_jobs(model: ModelName) -> BaseModel:
        catalog.get(model)
        await recalibrations.refresh()
        return kind.list_class(**{listed: recalibrations.jobs_of(model, name)})

    @routes.get(
        f"{path}/{{job}}",
        name=f"get_{name}",
        summary=f"Progress of a {kind.noun}",
        description=f"State and gates of a {kind.job}, now or when it is finished.",
        dependencies=[PUBLIC],
        responses=error_responses(404),
    )
    async def get_job(model: ModelName, job: JobId, wait: Wait = 0) -> Job:
        await recalibrations.refresh()
        with _naming_what_is_missing(catalog, model):
            return await recalibrations.wait(model, job, wait, name)

    @routes.delete(
        f"{path}/{{job}}",
        name=f"cancel_{name}",
        summary=f"Cancel a {kind.noun}",
        description=f"Stop a {kind.job} that is not finished. Its record stays.",
        dependencies=[ADMIN],
        responses=error_responses(400, 401, 403, 404),
    )
    async def cancel_job(model: ModelName, job: JobId) -> Job:
        await recalibrations.refresh()
        with _naming_what_is_missing(catalog, model):
            return await recalibrations.cancel(model, job, name)
