"""Predictions from rows: TensorFlow Serving's REST format, V1."""

from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from service.catalog.catalog import Catalog
from service.catalog.served_version import ServedVersion
from service.http.access import PREDICT, PUBLIC
from service.http.bodies import disconnected, read_body
from service.inference.batcher import Batcher
from service.routes.examples import Examples
from service.routes.openapi import error_responses, json_body
from service.routes.parameters import ModelName, Version
from service.wire import v1_json

_PREDICT_SCHEMA = {
    "type": "object",
    "properties": {
        "instances": {"type": "array", "items": {}, "description": "rows"},
        "inputs": {"description": "columns, instead of rows"},
    },
}
_PREDICT_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The outputs, row by row.",
        "content": {"application/json": {"example": {"predictions": [[0.1, 9.7]]}}},
    }
}


class VersionStatus(BaseModel):
    """State of one version, as TensorFlow Serving reports it."""

    version: str
    state: str = "AVAILABLE"
    status: dict[str, str] = {"error_code": "OK", "error_message": ""}


class ModelStatus(BaseModel):
    """States of the versions that answer."""

    name: str
    ready: bool = True
    model_version_status: list[VersionStatus]


def router(catalog: Catalog, batcher: Batcher, examples: Examples, max_body_bytes: int, *, finite: bool) -> APIRouter:
    """Predictions and model status."""
    routes = APIRouter(tags=["predict"])
    responses = _PREDICT_ANSWER | error_responses(400, 404, 413, 415, 503)
    body = json_body(_PREDICT_SCHEMA, examples.predict)

    async def predict(served: ServedVersion, request: Request) -> Response:
        body = await read_body(request.scope, request.receive, max_body_bytes)
        asked = v1_json.decode(body, served.manifest.inputs, finite=finite)
        outputs = await batcher.run(served, asked.inputs, gone=partial(disconnected, request.receive))
        return Response(v1_json.encode(asked, outputs), media_type="application/json")

    @routes.post(
        "/v1/models/{model}:predict",
        summary="Predict from rows (V1)",
        dependencies=[PREDICT],
        response_class=Response,
        responses=responses,
        openapi_extra=body,
    )
    async def predict_default(model: ModelName, request: Request) -> Response:
        return await predict(catalog.choose(model), request)

    @routes.post(
        "/v1/models/{model}/versions/{version}:predict",
        summary="Predict from rows with one version (V1)",
        dependencies=[PREDICT],
        response_class=Response,
        responses=responses,
        openapi_extra=body,
    )
    async def predict_version(model: ModelName, version: Version, request: Request) -> Response:
        return await predict(catalog.get(model, version), request)

    def status(model: str, versions: list[int]) -> ModelStatus:
        return ModelStatus(name=model, model_version_status=[VersionStatus(version=str(v)) for v in versions])

    @routes.get(
        "/v1/models/{model}",
        summary="Which versions answer? (V1)",
        dependencies=[PUBLIC],
        responses=error_responses(404, 503),
    )
    async def model_status(model: ModelName) -> ModelStatus:
        catalog.get(model)
        return status(model, catalog.versions(model))

    @routes.get(
        "/v1/models/{model}/versions/{version}",
        summary="Does this version answer? (V1)",
        dependencies=[PUBLIC],
        responses=error_responses(404, 503),
    )
    async def version_status(model: ModelName, version: Version) -> ModelStatus:
        return status(model, [catalog.get(model, version).version])

    return routes
