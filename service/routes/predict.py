"""Predictions from rows: TensorFlow Serving's REST format, V1."""

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from service.catalog.catalog import Catalog
from service.http.access import PREDICT, PUBLIC
from service.http.addresses import PREDICTIONS
from service.routes.examples import Examples
from service.routes.openapi import error_responses, json_body
from service.routes.parameters import ModelName
from service.routes.predictions import PredictionResponder
from service.routes.versions import for_default_and_named

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


def router(catalog: Catalog, responder: PredictionResponder, examples: Examples) -> APIRouter:
    """Predictions and model status."""
    routes = APIRouter(tags=["predict"])

    @for_default_and_named(
        routes,
        "POST",
        PREDICTIONS["v1"].default,
        summary="Predict from rows (V1)",
        dependencies=[PREDICT],
        response_class=Response,
        responses=_PREDICT_ANSWER | error_responses(400, 401, 404, 413, 415, 503),
        openapi_extra=json_body(_PREDICT_SCHEMA, examples.predict),
    )
    async def predict(model: ModelName, version: int | None, request: Request) -> Response:
        """Predict with TensorFlow Serving's REST format: rows, or columns."""
        return await responder.respond("v1", model, version, request)

    @for_default_and_named(
        routes,
        "GET",
        "/v1/models/{model}",
        summary="Model status (V1)",
        dependencies=[PUBLIC],
        responses=error_responses(404, 503),
    )
    async def get_model_status(model: ModelName, version: int | None) -> ModelStatus:
        """Which versions of the model can answer, as TensorFlow Serving reports it."""
        served = catalog.get(model, version)
        versions = catalog.versions(model) if version is None else [served.version]
        return ModelStatus(name=model, model_version_status=[VersionStatus(version=str(number)) for number in versions])

    return routes
