"""Images from generators, whose manifest says how their input is drawn."""

from typing import Any

from fastapi import APIRouter, Request, Response

from models.generation import MAX_SEED
from service.http.access import PREDICT
from service.http.addresses import PREDICTIONS
from service.routes.openapi import api_router, error_responses, json_body, json_response
from service.routes.parameters import ModelName
from service.routes.predictions import PredictionResponder
from service.routes.schemas import INFERENCE_RESPONSE
from service.routes.versions import for_default_and_named
from service.wire.generation import MAX_IMAGES

_REQUEST: dict[str, Any] = {
    "title": "GenerationRequest",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "seed": {
            "type": "integer",
            "minimum": 0,
            "maximum": MAX_SEED,
            "description": "Of the noise: equal seeds give equal images. Drawn at random if absent.",
        },
        "count": {
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_IMAGES,
            "default": 1,
            "description": "Number of images. Those of a smaller count are the first of a larger one's.",
        },
        "class": {
            "type": ["string", "null"],
            "description": "Name of the class of all images, for a conditional model. Each class in turn if absent.",
        },
    },
}
_EXAMPLES = {
    "sheet": {"summary": "Sixteen images.", "value": {"seed": 7, "count": 16}},
    "class": {"summary": "Nine of one class.", "value": {"seed": 7, "count": 9, "class": "3"}},
}
_SEED = {"type": "integer", "description": "The seed of the images."}
_RESPONSE: dict[str, Any] = {
    **INFERENCE_RESPONSE,
    "title": "GenerationResponse",
    "properties": {
        **INFERENCE_RESPONSE["properties"],
        "parameters": {"type": "object", "properties": {"seed": _SEED}},
    },
}
_GENERATED = json_response(
    "One PNG file: the image, or a sheet of all images. Or the model's outputs, for `Accept: application/json`.",
    _RESPONSE,
    {
        "model_name": "dcgan",
        "model_version": "1",
        "parameters": {"seed": 7},
        "outputs": [{"name": "images", "datatype": "FP32", "shape": [1, 1, 1, 2], "data": [-1.0, 0.9]}],
    },
)
_GENERATED[200]["content"] = {
    "image/png": {"schema": {"type": "string", "format": "binary"}},
    **_GENERATED[200]["content"],
}
_GENERATED[200]["headers"] = {"X-Seed": {"schema": _SEED}}


def router(responder: PredictionResponder) -> APIRouter:
    """Images by the default version of a generator, or by one that is named."""
    routes = api_router("predict", PREDICT)

    @for_default_and_named(
        routes,
        "POST",
        PREDICTIONS["generated"].default,
        summary="Generate images",
        response_class=Response,
        responses=_GENERATED | error_responses(400, 401, 404, 413, 415, 503),
        openapi_extra=json_body(_REQUEST, _EXAMPLES, required=False),
    )
    async def generate_images(model: ModelName, version: int | None, request: Request) -> Response:
        """Generate images from noise that is drawn by the seed, as a PNG file or as tensors.

        A sheet has as many columns as rows, or one row less; the images go from left to right, then down.
        """
        return await responder.respond("generated", model, version, request)

    return routes
