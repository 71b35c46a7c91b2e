"""Predictions from tensors: the Open Inference Protocol, V2."""

from typing import Any

from fastapi import APIRouter, Request, Response

from service.bodies import read_body
from service.catalog import Catalog, Served
from service.examples import Examples
from service.routes.answers import errors, json_body
from service.routes.models import ModelName, Version
from service.runner import Runner
from service.wire import v2_json

_JSON_LENGTH = "Inference-Header-Content-Length"

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
        "parameters": {"type": "object"},
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


def router(catalog: Catalog, runner: Runner, examples: Examples, max_body_bytes: int) -> APIRouter:
    """Inference with the default version of a model, or with one that is named."""
    routes = APIRouter(tags=["predict"])
    responses = _INFER_ANSWER | errors(400, 404, 413, 415, 503)
    body = json_body(_INFER_SCHEMA, examples.infer)

    async def infer(served: Served, request: Request) -> Response:
        body = await read_body(request, max_body_bytes)
        manifest = served.manifest
        asked = v2_json.decode(body, request.headers.get(_JSON_LENGTH), manifest.inputs, manifest.outputs)
        outputs = await runner.run(served, asked.inputs)
        answer, header_length = v2_json.encode(served.model, served.version, asked, outputs)
        if header_length is None:
            return Response(answer, media_type="application/json")
        return Response(answer, media_type="application/octet-stream", headers={_JSON_LENGTH: str(header_length)})

    @routes.post(
        "/v2/models/{model}/infer",
        summary="Predict from tensors (V2)",
        response_class=Response,
        responses=responses,
        openapi_extra=body,
    )
    async def infer_default(model: ModelName, request: Request) -> Response:
        return await infer(catalog.get(model), request)

    @routes.post(
        "/v2/models/{model}/versions/{version}/infer",
        summary="Predict from tensors with one version (V2)",
        response_class=Response,
        responses=responses,
        openapi_extra=body,
    )
    async def infer_version(model: ModelName, version: Version, request: Request) -> Response:
        return await infer(catalog.get(model, version), request)

    return routes
