"""Layers: the statistics that they remember from training, and batch normalisation itself."""

from collections.abc import Callable
from functools import partial

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from models.errors import InvalidInput
from models.manifest import Channels, LayerHistory, LayerKind, NormLayer, Placement, TopologyNode, WatchedLayer
from service.catalog.catalog import Catalog
from service.host.codec_pool import CodecPool
from service.http.access import PREDICT, PUBLIC
from service.http.bodies import read_body
from service.http.scopes import client_address
from service.routes.openapi import api_router, error_responses, json_body, json_response
from service.routes.parameters import LayerName, ModelName
from service.routes.schemas import LAYER_NORMALIZE_REQUEST, NORMALIZE_REQUEST, NORMALIZE_RESPONSE
from service.routes.versions import for_default_and_named
from service.wire import normalize_json
from service.wire.normalize_json import NormalizeRequest
from service.wire.pieces import LARGE_BYTES

_ARRAYS = 4
"""Bytes that normalising takes for each of the body."""

UNITS = {
    "running_mean": "mean of the layer's input in training, in the units of that input",
    "running_var": "variance of the layer's input in training, in those units squared",
    "gamma": "scale: the standard deviation that the layer's output has in training, in the units of that output",
    "beta": "shift: the mean that the layer's output has in training, in the units of that output",
    "eps": "added to running_var before the square root, in the units of running_var",
    "momentum": "fraction of the running value kept in a training step (torch states one minus this)",
}


class LayerSummary(BaseModel):
    """A layer without its channels."""

    name: str
    kind: LayerKind = Field(description="Only `batch_norm` has running statistics, and can be re-calibrated.")
    num_features: int = Field(description="Number of channels.")
    placement: Placement
    unwatched: str | None = Field(description="Why the layer is not observed; null if it is.")


class LayerList(BaseModel):
    """The layers of a version that are observed: first those of batch normalisation, from the input to the output."""

    model_name: str
    model_version: str
    layers: list[LayerSummary]
    topology: list[TopologyNode] = Field(
        description="The layers as a graph, each node after its sources. Empty where it was not recorded."
    )


class LayerStatistics(WatchedLayer):
    """What a layer remembers from training, one number per channel. Only batch normalisation has running statistics."""

    running_mean: Channels | None = Field(None, description="Null for a layer without running statistics.")
    running_var: Channels | None = None
    eps: float | None = None
    momentum: float | None = None
    model_name: str
    model_version: str
    units: dict[str, str] = Field(description="Meaning and unit of each field.")


class LayerInTraining(BaseModel):
    """How a layer's statistics came about, [step][percentile over its channels]. Empty if that was not recorded."""

    model_name: str
    model_version: str
    layer: str
    steps: list[int] = Field(description="Steps of training, dense at the start; empty without `--watch-layers`.")
    percentiles: list[float] = Field(description="Of the channels, which the other fields give for each step.")
    batch_mean: list[list[float]] = Field(description="Mean of the layer's input over the batch of the step.")
    batch_var: list[list[float]] = Field(description="Its variance over the batch.")
    running_mean: list[list[float]] = Field(description="Average of the batches' means up to the step.")
    running_var: list[list[float]] = Field(description="Average of the batches' variances up to the step.")
    gamma: list[list[float]] = Field(description="Learned scale.")
    beta: list[list[float]] = Field(description="Learned shift.")
    gradient_norm: list[float] = Field(description="Length of the loss's gradient by gamma and beta, for each step.")


_NOT_RECORDED = LayerHistory(
    batch_mean=(), batch_var=(), running_mean=(), running_var=(), gamma=(), beta=(), gradient_norm=()
)

_NORMALIZE_EXAMPLES = {
    "training": {
        "summary": "statistics of the batch, and one update of the running ones",
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
_NORMALIZED = json_response(
    "The normalised mini-batch. With `statistics: batch`, also the statistics of the batch, and the running statistics "
    "after one update with them.",
    NORMALIZE_RESPONSE,
    {
        "statistics": "batch",
        "batch": {"count": 3, "mean": [2.0, 30.0], "variance": [0.667, 466.7]},
        "running_mean": [0.2, 3.0],
        "running_var": [1.0, 70.9],
        "data": [[-1.22, -0.85], [0.0, 0.07], [1.22, 3.78]],
    },
)


def router(
    catalog: Catalog, codec_pool: CodecPool, max_body_bytes: int, example_layer_batch: list[list[float]] | None
) -> APIRouter:
    """Layers of the models, and batch normalisation of a request's own data."""

    async def respond(request: Request, decode: Callable[[bytes], NormalizeRequest]) -> Response:
        body = await read_body(request.scope, request.receive, max_body_bytes, codec_pool)
        client, size = client_address(request.scope), _ARRAYS * len(body)

        def normalize() -> bytes:
            return normalize_json.respond(decode(body))

        is_large = len(body) > LARGE_BYTES
        return _json(await codec_pool.run(client, size, normalize) if is_large else normalize())

    routes = api_router("layers")
    layer_examples = {"one row": {"value": {"data": example_layer_batch}}} if example_layer_batch else {}

    @for_default_and_named(
        routes,
        "GET",
        "/v2/models/{model}/layers",
        summary="List layers",
        dependencies=[PUBLIC],
        responses=error_responses(404, 503),
    )
    async def list_layers(model: ModelName, version: int | None) -> LayerList:
        """The layers that are observed, and where each one was folded, or why it could not be."""
        served = catalog.get(model, version)
        layers = [
            LayerSummary(
                name=layer.name,
                kind=layer.kind,
                num_features=layer.num_features,
                placement=_without_channels(layer.placement),
                unwatched=layer.unwatched,
            )
            for layer in served.layers.values()
        ]
        return LayerList(
            model_name=served.model,
            model_version=str(served.version),
            layers=layers,
            topology=list(served.manifest.topology),
        )

    @for_default_and_named(
        routes,
        "GET",
        "/v2/models/{model}/layers/{layer}",
        summary="Statistics of a layer in training",
        dependencies=[PUBLIC],
        responses=error_responses(404, 503),
    )
    async def get_layer(model: ModelName, version: int | None, layer: LayerName) -> LayerStatistics:
        """Running mean and variance, scale, shift, eps and momentum, which folding removes from the served graph."""
        served = catalog.get(model, version)
        return LayerStatistics.model_construct(
            **dict(served.layer(layer)), model_name=served.model, model_version=str(served.version), units=UNITS
        )

    @for_default_and_named(
        routes,
        "GET",
        "/v2/models/{model}/layers/{layer}/training",
        summary="Statistics of a layer at the steps of training",
        dependencies=[PUBLIC],
        responses=error_responses(404, 503),
    )
    async def get_layer_in_training(model: ModelName, version: int | None, layer: LayerName) -> LayerInTraining:
        """How running mean and variance, gamma and beta came about, if training was started with `--watch-layers`.

        The stored statistics of a published version are estimated once more after the last step, so they can differ
        from the running ones of that step.
        """
        served = catalog.get(model, version)
        name, history = served.layer(layer).name, served.manifest.training_history
        recorded = None if history is None else history.layers.get(name)
        steps, percentiles = ((), ()) if history is None or recorded is None else (history.steps, history.percentiles)
        return LayerInTraining.model_validate(
            (recorded or _NOT_RECORDED).model_dump()
            | {
                "model_name": served.model,
                "model_version": str(served.version),
                "layer": name,
                "steps": steps,
                "percentiles": percentiles,
            }
        )

    @routes.post(
        "/v2/models/{model}/layers/{layer}/normalize",
        summary="Normalise a mini-batch with a layer",
        dependencies=[PREDICT],
        response_class=Response,
        responses=_NORMALIZED | error_responses(400, 401, 404, 413, 415, 503),
        openapi_extra=json_body(LAYER_NORMALIZE_REQUEST, layer_examples),
    )
    async def normalize_with_layer(model: ModelName, layer: LayerName, request: Request) -> Response:
        """Batch normalisation with the parameters and running statistics of a layer of the default version."""
        found = catalog.get(model).layer(layer)
        if not isinstance(found, NormLayer):
            raise InvalidInput(f"'{layer}' is of kind {found.kind}; only batch_norm layers have statistics", "layer")
        return await respond(request, partial(normalize_json.decode_for_layer, layer=found))

    @routes.post(
        "/v2/normalize",
        summary="Normalise a mini-batch",
        dependencies=[PREDICT],
        response_class=Response,
        responses=_NORMALIZED | error_responses(400, 401, 413, 415),
        openapi_extra=json_body(NORMALIZE_REQUEST, _NORMALIZE_EXAMPLES),
    )
    async def normalize(request: Request) -> Response:
        """Batch normalisation with the parameters in the request, as torch or Keras compute it. No model is needed."""
        return await respond(request, normalize_json.decode)

    return routes


def _without_channels(placement: Placement) -> Placement:
    return placement.model_copy(update={"scale": None, "shift": None})


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
