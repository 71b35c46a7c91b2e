"""Predictions from rows: TensorFlow Serving's REST format, V1."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from service.catalog.catalog import Catalog
from service.http.access import PREDICT, PUBLIC
from service.http.addresses import PREDICTIONS
from service.routes.examples import Examples
from service.routes.openapi import api_router, error_responses, json_body, json_response
from service.routes.parameters import ModelName
from service.routes.predictions import PredictionResponder
from service.routes.schemas import PREDICT_REQUEST, PREDICT_RESPONSE
from service.routes.versions import for_default_and_named

_PREDICTED = json_response(
    "The outputs: row by row for a request with `instances`, in columns for one with `inputs`.",
    PREDICT_RESPONSE,
    {"predictions": [[0.1, 9.7]]},
)


class VersionStatus(BaseModel):
    """State of a version, in TensorFlow Serving's format."""

    version: str
    state: str = "AVAILABLE"
    status: dict[str, str] = {"error_code": "OK", "error_message": ""}


class ModelStatus(BaseModel):
    """States of the loaded versions."""

    name: str
    ready: bool = True
    model_version_status: list[VersionStatus]


def router(catalog: Catalog, responder: PredictionResponder, examples: Examples) -> APIRouter:
    """Predictions and model status."""
    routes = api_router("predict")

    @for_default_and_named(
        routes,
        "POST",
        PREDICTIONS["v1"].default,
        summary="Predict from rows (V1)",
        dependencies=[PREDICT],
        response_class=Response,
        responses=_PREDICTED | error_responses(400, 401, 404, 413, 415, 503),
        openapi_extra=json_body(PREDICT_REQUEST, examples.predict),
    )
    async def predict(model: ModelName, version: int | None, request: Request) -> Response:
        """Predict with TensorFlow Serving's REST format: `instances` are rows, `inputs` are columns."""
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
        """The loaded versions of the model, in TensorFlow Serving's format."""
        served = catalog.get(model, version)
        versions = catalog.versions(model) if version is None else [served.version]
        return ModelStatus(name=model, model_version_status=[VersionStatus(version=str(number)) for number in versions])

    return routes
