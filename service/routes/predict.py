"""Predictions in TensorFlow Serving's REST format, V1: from rows, columns or examples."""

from typing import Any

from fastapi import APIRouter, Request, Response

from service.catalog.catalog import Catalog
from service.http.access import PREDICT
from service.http.addresses import PREDICTIONS
from service.routes.examples import Examples
from service.routes.openapi import api_router, error_responses, json_body, json_response
from service.routes.parameters import ModelName
from service.routes.predictions import PredictionResponder
from service.routes.schemas import EXAMPLES_REQUEST, EXAMPLES_RESPONSE, PREDICT_REQUEST, PREDICT_RESPONSE
from service.routes.versions import for_default_and_named

_PREDICTED = json_response(
    "The outputs: row by row for a request with `instances`, in columns for one with `inputs`.",
    PREDICT_RESPONSE,
    {"predictions": [[0.1, 9.7]]},
)
_CLASSIFIED = json_response(
    "For each example the label and the probability of every class, in the order of the model's output.",
    EXAMPLES_RESPONSE,
    {"results": [[["no", 0.1], ["yes", 0.9]]]},
)
_REGRESSED = json_response("One number for each example.", EXAMPLES_RESPONSE, {"results": [0.5]})


def router(catalog: Catalog, responder: PredictionResponder, examples: Examples) -> APIRouter:
    """Predictions by the default version of a model, or by one that is named by its number or a label."""
    routes = api_router("predict", PREDICT)
    errors = error_responses(400, 401, 404, 413, 415, 503)

    def options(dialect: str, body: dict[str, Any]) -> dict[str, Any]:
        return {
            "path": PREDICTIONS[dialect].default,
            "find_version": catalog.labelled,
            "response_class": Response,
            "openapi_extra": body,
        }

    @for_default_and_named(
        routes,
        "POST",
        summary="Predict from rows (V1)",
        responses=_PREDICTED | errors,
        **options("v1", json_body(PREDICT_REQUEST, examples.predict)),
    )
    async def predict(model: ModelName, version: int | None, request: Request) -> Response:
        """Predict with TensorFlow Serving's REST format: `instances` are rows, `inputs` are columns."""
        return await responder.respond("v1", model, version, request)

    @for_default_and_named(
        routes,
        "POST",
        summary="Classify examples (V1)",
        responses=_CLASSIFIED | errors,
        **options("classify", json_body(EXAMPLES_REQUEST, examples.classify)),
    )
    async def classify(model: ModelName, version: int | None, request: Request) -> Response:
        """Classify examples with TensorFlow Serving's REST format, by a model with scores of several classes."""
        return await responder.respond("classify", model, version, request)

    @for_default_and_named(
        routes,
        "POST",
        summary="Regress examples (V1)",
        responses=_REGRESSED | errors,
        **options("regress", json_body(EXAMPLES_REQUEST, examples.regress)),
    )
    async def regress(model: ModelName, version: int | None, request: Request) -> Response:
        """Predict a number for each example with TensorFlow Serving's REST format, by a model that gives one a row."""
        return await responder.respond("regress", model, version, request)

    return routes
