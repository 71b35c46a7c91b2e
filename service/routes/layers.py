"""What each normalisation layer remembers, and the transform itself."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, Field

from models.manifest import NormLayer, Placement
from service.catalog.catalog import Catalog
from service.catalog.served_version import ServedVersion
from service.http.access import PREDICT, PUBLIC
from service.http.bodies import read_body
from service.routes.answers import EXAMPLE_LAYER, errors, example, json_body
from service.routes.models import ModelName, Version
from service.wire import normalize_json

LayerName = Annotated[str, Path(description="name of a normalisation layer", openapi_examples=example(EXAMPLE_LAYER))]

UNITS = {
    "running_mean": "mean of the layer's input, in the units of that input",
    "running_var": "variance of the layer's input, in those units squared",
    "gamma": "standard deviation that the layer's output was trained to have, in the units of that output",
    "beta": "mean that the layer's output was trained to have, in the units of that output",
    "eps": "added to running_var before its root, in the units of running_var",
    "momentum": "fraction of the running value kept at a training step (torch states one minus this)",
}


class LayerSummary(BaseModel):
    """One layer without its channels."""

    name: str
    num_features: int
    placement: Placement


class LayerList(BaseModel):
    """The normalisation layers of a version, from the input to the output."""

    model_name: str
    model_version: str
    layers: list[LayerSummary]


class LayerStatistics(NormLayer):
    """The reference statistics of a layer, per channel."""

    model_name: str
    model_version: str
    units: dict[str, str] = Field(description="what each number is measured in")


_DATA_SCHEMA = {
    "type": "array",
    "items": {},
    "description": "mini-batch of shape (N, C, ...), nested lists",
}
_CHANNELS_SCHEMA = {"type": "array", "items": {"type": "number"}, "description": "one number a channel"}
_NORMALIZE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["data"],
    "additionalProperties": False,
    "properties": {
        "data": _DATA_SCHEMA,
        "statistics": {
            "enum": ["batch", "running"],
            "default": "batch",
            "description": "the batch's own statistics, as in training, or the running ones, as in inference",
        },
        "convention": {
            "enum": ["torch", "keras"],
            "default": "torch",
            "description": (
                "torch: channels on axis 1, eps 1e-5, momentum 0.1 is the fraction replaced, variance unbiased; "
                "keras: channels last, eps 1e-3, momentum 0.99 is the fraction kept, variance biased"
            ),
        },
        "axis": {"type": "integer", "description": "axis of the channels"},
        "gamma": {**_CHANNELS_SCHEMA, "description": "scale per channel; 1 when absent"},
        "beta": {**_CHANNELS_SCHEMA, "description": "shift per channel; 0 when absent"},
        "running_mean": {**_CHANNELS_SCHEMA, "description": "0 when absent, as in a fresh layer"},
        "running_var": {**_CHANNELS_SCHEMA, "description": "1 when absent, as in a fresh layer"},
        "eps": {"type": "number", "exclusiveMinimum": 0},
        "momentum": {"type": "number", "minimum": 0, "maximum": 1},
    },
}
_LAYER_NORMALIZE_SCHEMA = {
    **_NORMALIZE_SCHEMA,
    "properties": {
        "data": _DATA_SCHEMA,
        "statistics": {"enum": ["batch", "running"], "default": "running"},
        "axis": _NORMALIZE_SCHEMA["properties"]["axis"],
    },
}
_NORMALIZE_EXAMPLES = {
    "training": {
        "summary": "batch statistics, and one step of the running ones",
        "value": {"data": [[1.0, 10.0], [2.0, 20.0], [3.0, 60.0]], "gamma": [1.0, 2.0], "beta": [0.0, 1.0]},
    },
    "inference": {
        "summary": "running statistics",
        "value": {
            "data": [[1.0, 10.0]],
            "statistics": "running",
            "running_mean": [2.0, 30.0],
            "running_var": [1.0, 400.0],
        },
    },
}
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The normalised batch; with batch statistics also those, and the updated running ones.",
        "content": {
            "application/json": {
                "example": {
                    "statistics": "batch",
                    "batch": {"count": 3, "mean": [2.0, 30.0], "variance": [0.667, 466.7]},
                    "running_mean": [0.2, 3.0],
                    "running_var": [1.0, 70.9],
                    "data": [[-1.22, -0.85], [0.0, 0.07], [1.22, 3.78]],
                }
            }
        },
    }
}


def router(catalog: Catalog, max_body_bytes: int, example_layer_batch: list[list[float]] | None) -> APIRouter:
    """Layers of the models, and normalisation as a service."""
    routes = APIRouter(tags=["layers"])
    layer_examples = {"one row": {"value": {"data": example_layer_batch}}} if example_layer_batch else {}

    def summary(served: ServedVersion) -> LayerList:
        layers = [
            LayerSummary(name=layer.name, num_features=layer.num_features, placement=_without_channels(layer.placement))
            for layer in served.layers.values()
        ]
        return LayerList(model_name=served.model, model_version=str(served.version), layers=layers)

    def statistics(served: ServedVersion, layer: str) -> LayerStatistics:
        return LayerStatistics.model_construct(
            **dict(served.layer(layer)), model_name=served.model, model_version=str(served.version), units=UNITS
        )

    @routes.get(
        "/v2/models/{model}/layers",
        summary="Which layers normalise?",
        dependencies=[PUBLIC],
        responses=errors(404, 503),
    )
    async def layers(model: ModelName) -> LayerList:
        return summary(catalog.get(model))

    @routes.get(
        "/v2/models/{model}/versions/{version}/layers",
        summary="Which layers of this version normalise?",
        dependencies=[PUBLIC],
        responses=errors(404, 503),
    )
    async def version_layers(model: ModelName, version: Version) -> LayerList:
        return summary(catalog.get(model, version))

    @routes.get(
        "/v2/models/{model}/layers/{layer}",
        summary="What does this layer remember?",
        dependencies=[PUBLIC],
        responses=errors(404, 503),
    )
    async def layer_statistics(model: ModelName, layer: LayerName) -> LayerStatistics:
        return statistics(catalog.get(model), layer)

    @routes.get(
        "/v2/models/{model}/versions/{version}/layers/{layer}",
        summary="What does this version's layer remember?",
        dependencies=[PUBLIC],
        responses=errors(404, 503),
    )
    async def version_layer_statistics(model: ModelName, version: Version, layer: LayerName) -> LayerStatistics:
        return statistics(catalog.get(model, version), layer)

    @routes.post(
        "/v2/models/{model}/layers/{layer}/normalize",
        summary="Normalise a mini-batch as this layer does",
        dependencies=[PREDICT],
        response_class=Response,
        responses=_ANSWER | errors(400, 404, 413, 503),
        openapi_extra=json_body(_LAYER_NORMALIZE_SCHEMA, layer_examples),
    )
    async def normalize_by_layer(model: ModelName, layer: LayerName, request: Request) -> Response:
        found = catalog.get(model).layer(layer)
        body = await read_body(request.scope, request.receive, max_body_bytes)
        return _json(normalize_json.answer(normalize_json.decode_for_layer(body, found)))

    @routes.post(
        "/v2/normalize",
        summary="Normalise a mini-batch",
        dependencies=[PREDICT],
        response_class=Response,
        responses=_ANSWER | errors(400, 413),
        openapi_extra=json_body(_NORMALIZE_SCHEMA, _NORMALIZE_EXAMPLES),
    )
    async def normalize(request: Request) -> Response:
        body = await read_body(request.scope, request.receive, max_body_bytes)
        return _json(normalize_json.answer(normalize_json.decode(body)))

    return routes


def _without_channels(placement: Placement) -> Placement:
    return placement.model_copy(update={"scale": None, "shift": None})


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
