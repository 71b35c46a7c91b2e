"""Predictions from tensors: the Open Inference Protocol, V2."""

from fastapi import APIRouter, Request, Response

from service.http.access import PREDICT
from service.http.addresses import PREDICTIONS
from service.routes.examples import Examples
from service.routes.openapi import api_router, error_responses, json_body, json_response
from service.routes.parameters import ModelName
from service.routes.predictions import PredictionResponder
from service.routes.schemas import INFERENCE_REQUEST, INFERENCE_RESPONSE
from service.routes.versions import for_default_and_named

_PREDICTED = json_response(
    "The outputs. NaN and infinities are null in JSON, and exact as binary tensors.",
    INFERENCE_RESPONSE,
    {
        "model_name": "mlp",
        "model_version": "1",
        "outputs": [{"name": "logits", "datatype": "FP32", "shape": [1, 2], "data": [0.1, 9.7]}],
    },
)
_PREDICTED[200]["content"]["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}


def router(responder: PredictionResponder, examples: Examples) -> APIRouter:
    """Predictions by the default version of a model, or by one that is named."""
    routes = api_router("predict", PREDICT)

    @for_default_and_named(
        routes,
        "POST",
        PREDICTIONS["v2"].default,
        summary="Predict from tensors (V2)",
        response_class=Response,
        responses=_PREDICTED | error_responses(400, 401, 404, 413, 415, 503),
        openapi_extra=json_body(INFERENCE_REQUEST, examples.infer),
    )
    async def infer(model: ModelName, version: int | None, request: Request) -> Response:
        """Predict with the Open Inference Protocol: tensors in JSON, in binary, or both."""
        return await responder.respond("v2", model, version, request)

    return routes
