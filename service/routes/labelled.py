"""Predictions from images or texts, read as the manifest of the model says, answered with labels."""

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
from service.wire.texts import MAX_TEXTS

_FILE = {"schema": {"type": "string", "format": "binary"}}
_TEXT = {"type": "string", "minLength": 1}

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "image/png": _FILE,
            "image/jpeg": _FILE,
            "application/json": {
                "schema": {
                    "title": "TextRequest",
                    "type": "object",
                    "required": ["text"],
                    "additionalProperties": False,
                    "properties": {
                        "text": {
                            "oneOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": MAX_TEXTS}],
                            "description": "For a model of texts. The answer to a list is a list.",
                        }
                    },
                },
                "examples": {
                    "text": {"summary": "For a model of texts.", "value": {"text": "a moving , funny film"}},
                    "texts": {"summary": "Several at once.", "value": {"text": ["a dull film", "a moving film"]}},
                },
            },
            "text/plain": {"schema": _TEXT, "example": "a moving , funny film"},
        },
    }
}

LayerStatistics = Annotated[
    bool,
    STRICT_BOOLEAN,
    Query(description="Also return how unusual each layer finds the image or text.", openapi_examples=example(True)),
]


class ClassProbability(BaseModel):
    """Probability of one class."""

    label: str
    probability: float


class LayerScore(BaseModel):
    """How unusual a layer finds an image or text."""

    name: str
    score: float = Field(description="1 in 100 held-out ones has more than 1.")


class LabelPrediction(BaseModel):
    """The likeliest class of an image or text."""

    label: str = Field(description="The most probable class.", examples=["7"])
    probability: float = Field(description="Of that class.", examples=[0.99])
    probabilities: list[ClassProbability] = Field(description="Of all classes, in the order of the model's output.")
    layers: list[LayerScore] | None = Field(
        None, description="With `layer_statistics`; null for a version without held-out rows."
    )


class LabelledPrediction(LabelPrediction):
    """The prediction of one version for one image or text."""

    model_name: str
    model_version: str


class LabelledPredictions(BaseModel):
    """The predictions of one version for a list of texts."""

    model_name: str
    model_version: str
    predictions: list[LabelPrediction] = Field(description="In the order of the texts.")


def router(responder: PredictionResponder) -> APIRouter:
    """Images and texts to labels, for models whose manifest says how they become rows."""
    routes = api_router("predict", PREDICT)

    @for_default_and_named(
        routes,
        "POST",
        PREDICTIONS["labelled"].default,
        summary="Predict from an image or a text",
        response_class=Response,
        responses={200: {"model": LabelledPrediction | LabelledPredictions}}
        | error_responses(400, 401, 404, 413, 415, 503),
        openapi_extra=_BODY,
    )
    async def predict_labels(
        model: ModelName, version: int | None, request: Request, layer_statistics: LayerStatistics = False
    ) -> Response:
        """Predict from a PNG or JPEG file, which is the whole body, or from texts, as the model's card says.

        An image to try: [/docs/seven.png](/docs/seven.png). A text is the whole body as `text/plain`, or in JSON:
        `{"text": "..."}`, or a list of texts.
        """
        return await responder.respond("labelled", model, version, request, layer_statistics=layer_statistics)

    return routes
