"""Predictions from tensors: the Open Inference Protocol, V2."""

from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.types import Receive, Scope

from service.access import PREDICT
from service.batcher import Batcher
from service.bodies import disconnected, read_body
from service.catalog import Catalog
from service.examples import Examples
from service.routes.answers import errors, json_body
from service.routes.models import ModelName, Version
from service.wire import v2_json
from service.wire.compression import compress, negotiate

DEFAULT_PATH = "/v2/models/{model}/infer"
VERSION_PATH = "/v2/models/{model}/versions/{version}/infer"

_JSON_LENGTH = b"inference-header-content-length"
_WORTH_COMPRESSING = 1 << 10
_JSON = (b"content-type", b"application/json")
_BINARY = (b"content-type", b"application/octet-stream")

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


class Infer:
    """Answers inference requests: with FastAPI's router in front, or without.

    Args:
        catalog: the models.
        batcher: runs them.
        max_body_bytes: larger bodies are refused.
        finite: whether NaN and infinities are refused.
    """

    def __init__(self, catalog: Catalog, batcher: Batcher, max_body_bytes: int, *, finite: bool = True) -> None:
        self._catalog = catalog
        self._batcher = batcher
        self._max_body_bytes = max_body_bytes
        self._finite = finite

    async def answer(
        self, model: str, version: int | None, scope: Scope, receive: Receive
    ) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """Predict with a version of a model, or with its default one.

        Returns:
            The body and the headers of the answer.

        Raises:
            DengeError: the request is wrong, or cannot be answered now.
        """
        served = self._catalog.get(model, version)
        manifest = served.manifest
        body = await read_body(scope, receive, self._max_body_bytes)
        asked = v2_json.decode(
            body, _header(scope, _JSON_LENGTH), manifest.inputs, manifest.outputs, finite=self._finite
        )
        outputs = await self._batcher.run(
            served,
            asked.inputs,
            gone=partial(disconnected, receive),
            priority=asked.priority,
            patience=asked.patience,
        )
        answer, json_length = v2_json.encode(served.model, served.version, asked, outputs, manifest.labels)
        headers = [_JSON] if json_length is None else [_BINARY, (_JSON_LENGTH, b"%d" % json_length)]
        accepted = _header(scope, b"accept-encoding")
        if accepted and len(answer) >= _WORTH_COMPRESSING and (encoding := negotiate(accepted)):
            answer = compress(answer, encoding)
            headers += [(b"content-encoding", encoding.encode()), (b"vary", b"accept-encoding")]
        return answer, [*headers, (b"content-length", b"%d" % len(answer))]


def _header(scope: Scope, wanted: bytes) -> str | None:
    for name, value in scope["headers"]:
        if name == wanted:
            return str(value, "latin-1")
    return None


def router(infer: Infer, examples: Examples) -> APIRouter:
    """Inference with the default version of a model, or with one that is named."""
    routes = APIRouter(tags=["predict"], dependencies=[PREDICT])
    responses = _INFER_ANSWER | errors(400, 404, 413, 415, 503)
    body = json_body(_INFER_SCHEMA, examples.infer)

    async def respond(model: str, version: int | None, request: Request) -> Response:
        answer, headers = await infer.answer(model, version, request.scope, request.receive)
        response = Response(answer)
        response.raw_headers = headers
        return response

    @routes.post(
        DEFAULT_PATH,
        summary="Predict from tensors (V2)",
        response_class=Response,
        responses=responses,
        openapi_extra=body,
    )
    async def infer_default(model: ModelName, request: Request) -> Response:
        return await respond(model, None, request)

    @routes.post(
        VERSION_PATH,
        summary="Predict from tensors with one version (V2)",
        response_class=Response,
        responses=responses,
        openapi_extra=body,
    )
    async def infer_version(model: ModelName, version: Version, request: Request) -> Response:
        return await respond(model, version, request)

    return routes
