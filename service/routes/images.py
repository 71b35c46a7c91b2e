"""Predictions from images, read as the model's manifest says."""

import asyncio
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from models import classification
from models.errors import InvalidInput
from service.catalog.catalog import Catalog
from service.catalog.served_version import ServedVersion
from service.http.access import PREDICT
from service.http.bodies import disconnected, read_body
from service.inference.batcher import Batcher
from service.routes.openapi import error_responses, example
from service.routes.parameters import ModelName, Version
from service.watching.observed_models import ObservedModels
from service.wire import images

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in ("image/png", "image/jpeg")
        },
    }
}
_DESCRIPTION = "The body is the file itself. One to try: [/docs/seven.png](/docs/seven.png)."

LayerStatistics = Annotated[
    bool, Query(description="also say how unusual each layer finds the image", openapi_examples=example(True))
]


class ClassProbability(BaseModel):
    """How likely the model finds one class."""

    label: str
    probability: float


class LayerScore(BaseModel):
    """How unusual a layer finds the image."""

    name: str
    score: float = Field(description="1 in 100 held-out images has more than 1")


class ImagePrediction(BaseModel):
    """What the image shows."""

    model_name: str
    model_version: str
    label: str = Field(description="the likeliest class", examples=["7"])
    probability: float = Field(description="of that class", examples=[0.99])
    probabilities: list[ClassProbability] = Field(description="of all classes, in the order of the model's output")
    layers: list[LayerScore] | None = Field(
        None, description="if they were asked for; null for a version without held-out images"
    )


def router(
    catalog: Catalog, batcher: Batcher, observed_models: ObservedModels, max_body_bytes: int, max_pixels: int
) -> APIRouter:
    """Images to labels, for models whose manifest has labels and a preprocessing."""
    routes = APIRouter(tags=["predict"], dependencies=[PREDICT])
    responses = error_responses(400, 404, 413, 415, 503)

    async def predict(served: ServedVersion, request: Request, layer_statistics: bool) -> ImagePrediction:
        manifest = served.manifest
        if manifest.preprocessing is None or manifest.labels is None or manifest.num_classes is None:
            raise InvalidInput(f"model '{served.model}' does not say how to read images: send tensors", "body")
        body = await read_body(request.scope, request.receive, max_body_bytes)
        spec = manifest.inputs[0]
        # In a thread: a small file can hold an image that takes long to decode.
        pixels = await asyncio.to_thread(images.decode, body, manifest.preprocessing, max_pixels)
        row = {spec.name: pixels.reshape(1, *spec.shape[1:])}
        outputs = await batcher.run(served, row, gone=partial(disconnected, request.receive))
        (probabilities,) = classification.probabilities(outputs[manifest.outputs[0].name], manifest.scores)
        best = int(probabilities.argmax())
        return ImagePrediction(
            model_name=served.model,
            model_version=str(served.version),
            label=manifest.labels[best],
            probability=float(probabilities[best]),
            probabilities=[
                ClassProbability(label=label, probability=float(value))
                for label, value in zip(manifest.labels, probabilities, strict=True)
            ],
            layers=await asyncio.to_thread(scores, served, row) if layer_statistics else None,
        )

    def scores(served: ServedVersion, row: dict[str, NDArray[Any]]) -> list[LayerScore] | None:
        observed_model = observed_models.scorer(served)
        if observed_model is None:
            return None
        return [
            LayerScore(name=name, score=float(score[0])) for name, score in observed_model.score_layers(row).items()
        ]

    @routes.post(
        "/v2/models/{model}/predict",
        summary="Predict from a PNG or JPEG image",
        description=_DESCRIPTION,
        responses=responses,
        openapi_extra=_BODY,
    )
    async def predict_default(
        model: ModelName, request: Request, layer_statistics: LayerStatistics = False
    ) -> ImagePrediction:
        return await predict(catalog.choose(model), request, layer_statistics)

    @routes.post(
        "/v2/models/{model}/versions/{version}/predict",
        summary="Predict from an image with one version",
        description=_DESCRIPTION,
        responses=responses,
        openapi_extra=_BODY,
    )
    async def predict_version(
        model: ModelName, version: Version, request: Request, layer_statistics: LayerStatistics = False
    ) -> ImagePrediction:
        return await predict(catalog.get(model, version), request, layer_statistics)

    return routes
