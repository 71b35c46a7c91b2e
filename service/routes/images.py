"""Predictions from images, read as the manifest of the model says."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from service.http.access import PREDICT
from service.http.addresses import PREDICTIONS
from service.routes.openapi import api_router, error_responses, example
from service.routes.parameters import ModelName
from service.routes.predictions import PredictionResponder
from service.routes.queries import STRICT_BOOLEAN
from service.routes.versions import for_default_and_named

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in ("image/png", "image/jpeg")
        },
    }
}

LayerStatistics = Annotated[
    bool,
    STRICT_BOOLEAN,
    Query(description="Also return how unusual each layer finds the image.", openapi_examples=example(True)),
]


class ClassProbability(BaseModel):
    """Probability of one class."""

    label: str
    probability: float


class LayerScore(BaseModel):
    """How unusual a layer finds the image."""

    name: str
    score: float = Field(description="1 in 100 held-out images has more than 1.")


class ImagePrediction(BaseModel):
    """What the image shows."""

    model_name: str
    model_version: str
    label: str = Field(description="The most probable class.", examples=["7"])
    probability: float = Field(description="Of that class.", examples=[0.99])
    probabilities: list[ClassProbability] = Field(description="Of all classes, in the order of the model's output.")
    layers: list[LayerScore] | None = Field(
        None, description="With `layer_statistics`; null for a version without held-out images."
    )


def router(responder: PredictionResponder) -> APIRouter:
    """Images to labels, for models whose manifest has labels and a preprocessing."""
    routes = api_router("predict", PREDICT)

    @for_default_and_named(
        routes,
        "POST",
        PREDICTIONS["images"].default,
        summary="Predict from a PNG or JPEG image",
        response_class=Response,
        responses={200: {"model": ImagePrediction}} | error_responses(400, 401, 404, 413, 415, 503),
        openapi_extra=_BODY,
    )
    async def predict_image(
        model: ModelName, version: int | None, request: Request, layer_statistics: LayerStatistics = False
    ) -> Response:
        """Predict from an image file, which is the whole body. One to try: [/docs/seven.png](/docs/seven.png)."""
        return await responder.respond("images", model, version, request, layer_statistics=layer_statistics)

    return routes
