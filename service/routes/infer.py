"""Predictions from tensors: the Open Inference Protocol, V2."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from fastapi import APIRouter, Request, Response
from starlette.types import Receive, Scope

from models.errors import InvalidInput, Overloaded
from service.access import Guard
from service.catalog.catalog import Catalog
from service.catalog.served_version import ServedVersion
from service.http.access import PREDICT
from service.http.bodies import disconnected, read_body
from service.inference.batcher import Batcher, Outputs
from service.routes.examples import Examples
from service.routes.openapi import error_responses, json_body
from service.routes.parameters import ModelName, Version
from service.watching.observed_models import ObservedModels
from service.wire import v2_json
from service.wire.compression import compress, negotiate

Headers = Mapping[bytes, bytes]
"""Of a request, by lower-case name; of several with one name, the last."""

DEFAULT_PATH = "/v2/models/{model}/infer"
VERSION_PATH = "/v2/models/{model}/versions/{version}/infer"

MOST_SCORING = 64
"""Requests that wait for layer statistics at the same time."""

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


class Answer(NamedTuple):
    """A successful answer."""

    headers: list[tuple[bytes, bytes]]
    body: bytes


class Prediction(NamedTuple):
    """A request that has been read and checked.

    Attributes:
        served: what is to answer it.
        asked: what is asked of it.
        accept_encoding: value of the header, None where there is none.
    """

    served: ServedVersion
    asked: v2_json.InferRequest
    accept_encoding: bytes | None


PREDICTION = "denge.prediction"
"""Where a server that has read the request already leaves it, in the scope."""


class Infer:
    """Answers inference requests: with FastAPI's router in front, with ASGI only, or without either.

    Args:
        catalog: the models.
        batcher: runs them.
        guard: knows who may predict.
        observed_models: tell callers what the layers meet in their rows.
        max_body_bytes: larger bodies are refused.
        finite: whether NaN and infinities are refused.
    """

    def __init__(
        self,
        catalog: Catalog,
        batcher: Batcher,
        guard: Guard,
        observed_models: ObservedModels,
        max_body_bytes: int,
        *,
        finite: bool = True,
    ) -> None:
        self._catalog = catalog
        self._batcher = batcher
        self._guard = guard
        self._watchers = observed_models
        self._scoring = 0
        self.max_body_bytes = max_body_bytes
        self._finite = finite

    async def respond(self, model: str, version: int | None, scope: Scope, receive: Receive) -> Answer:
        """Predict with a version of a model, or with its default one.

        Raises:
            DengeError: the request is wrong, or cannot be answered now.
        """
        prediction: Prediction | None = scope.get(PREDICTION)
        if prediction is None:
            headers = dict(scope["headers"])
            served = self.admit(model, version, headers)
            body = await read_body(scope, receive, self.max_body_bytes)
            prediction = self.read(served, headers, body)
        # First, since it may be refused.
        scores = await self._scores(prediction) if prediction.asked.layer_statistics else {}
        outputs = await self._batcher.run(
            prediction.served,
            prediction.asked.inputs,
            gone=partial(disconnected, receive),
            priority=prediction.asked.priority,
            patience=prediction.asked.patience,
        )
        return _write(prediction, outputs | scores)

    def admit(self, model: str, version: int | None, headers: Headers) -> ServedVersion:
        """Who may ask, and what answers: all that is decided by the head of a request.

        Raises:
            DengeError: the caller may not ask, or nothing answers.
        """
        self._guard.authenticate(headers.items(), "")
        return self._catalog.choose(model, version)

    def read(self, served: ServedVersion, headers: Headers, body: bytes) -> Prediction:
        """Read the body of a request.

        Raises:
            InvalidInput: it is wrong.
        """
        length = headers.get(_JSON_LENGTH)
        asked = served.signature.decode(body, None if length is None else str(length, "latin-1"), finite=self._finite)
        return Prediction(served, asked, headers.get(b"accept-encoding"))

    def answer_now(self, prediction: Prediction) -> Answer | None:
        """Run the model at once. None where that would keep others waiting: `respond` knows how to.

        Raises:
            InferenceFailed: the runtime broke on these inputs.
        """
        if prediction.asked.layer_statistics:
            return None
        outputs = self._batcher.run_now(prediction.served, prediction.asked.inputs)
        return None if outputs is None else _write(prediction, outputs)

    async def _scores(self, prediction: Prediction) -> Outputs:
        """What the layers meet in each row, for the caller alone: the observed graph runs once more, in a thread."""
        served, asked = prediction.served, prediction.asked
        if self._scoring >= MOST_SCORING:
            raise Overloaded(f"{MOST_SCORING} requests wait for layer statistics already: try again later")
        self._scoring += 1
        try:
            observed_model = await asyncio.to_thread(self._watchers.scorer, served)
            if observed_model is None:
                raise InvalidInput(
                    f"'{served.model}' version {served.version} has no held-out rows to compare with",
                    "parameters.layer_statistics",
                )
            scores, layers = await asyncio.to_thread(observed_model.score, asked.inputs)
        finally:
            self._scoring -= 1
        return {v2_json.DRIFT_SCORE: scores, v2_json.DRIFT_LAYER: layers}


def _write(prediction: Prediction, outputs: Outputs) -> Answer:
    served = prediction.served
    body, json_length = v2_json.encode(served.model, served.version, prediction.asked, outputs, served.manifest.labels)
    headers = [_JSON] if json_length is None else [_BINARY, (_JSON_LENGTH, b"%d" % json_length)]
    accepted = prediction.accept_encoding
    if accepted and len(body) >= _WORTH_COMPRESSING and (encoding := negotiate(str(accepted, "latin-1"))):
        body = compress(body, encoding)
        headers += [(b"content-encoding", encoding.encode()), (b"vary", b"accept-encoding")]
    headers.append((b"content-length", b"%d" % len(body)))
    return Answer(headers, body)


def router(infer: Infer, examples: Examples) -> APIRouter:
    """Inference with the default version of a model, or with one that is named."""
    routes = APIRouter(tags=["predict"], dependencies=[PREDICT])
    responses = _INFER_ANSWER | error_responses(400, 404, 413, 415, 503)
    body = json_body(_INFER_SCHEMA, examples.infer)

    async def respond(model: str, version: int | None, request: Request) -> Response:
        answer = await infer.respond(model, version, request.scope, request.receive)
        response = Response(answer.body)
        response.raw_headers = answer.headers
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
