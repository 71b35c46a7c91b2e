"""Predictions from tensors: the Open Inference Protocol, V2."""

from typing import Any

from fastapi import APIRouter, Request, Response

from service.http.access import PREDICT
from service.http.addresses import PREDICTIONS
from service.routes.examples import Examples
from service.routes.openapi import error_responses, json_body
from service.routes.parameters import ModelName
from service.routes.predictions import PredictionResponder
from service.routes.versions import for_default_and_named

_TENSOR_SCHEMA = {
    "type": "object",
    "required": ["name", "datatype", "shape"],
    "properties": {
        "name": {"type": "string"},
        "datatype": {"type": "string", "examples": ["FP32"]},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "parameters": {"type": "object"},
        "data": {"type": "array", "items": {}, "description": "nested, or flat in row-major order"},
    },
}
_INFER_SCHEMA = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string", "description": "repeated in the answer"},
        "parameters": {
            "type": "object",
            "properties": {
                "layer_statistics": {
                    "type": "boolean",
                    "description": "adds `drift_score`, how unusual each row is (1 in 100 rows has more than 1), "
                    "and `drift_layer`, the layer in which it is most so",
                }
            },
        },
        "inputs": {"type": "array", "items": _TENSOR_SCHEMA},
        "outputs": {
            "type": "array",
            "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
            "description": "the outputs wanted; all when absent",
        },
    },
}
_INFER_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The outputs. NaN and infinities are null in JSON, and exact as binary tensors.",
        "content": {
            "application/json": {
                "example": {
                    "model_name": "mlp",
                    "model_version": "1",
                    "outputs": [{"name": "logits", "datatype": "FP32", "shape": [1, 10], "data": [0.1, 9.7]}],
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


def router(responder: PredictionResponder, examples: Examples) -> APIRouter:
    """Predictions by the default version of a model, or by one that is named."""
    routes = APIRouter(tags=["predict"], dependencies=[PREDICT])

    @for_default_and_named(
        routes,
        "POST",
        PREDICTIONS["v2"].default,
        summary="Predict from tensors (V2)",
        response_class=Response,
        responses=_INFER_ANSWER | error_responses(400, 401, 404, 413, 415, 503),
        openapi_extra=json_body(_INFER_SCHEMA, examples.infer),
    )
    async def infer(model: ModelName, version: int | None, request: Request) -> Response:
        """Predict with the Open Inference Protocol: tensors in JSON, in binary, or both."""
        return await responder.respond("v2", model, version, request)

    return routes
