"""Model configuration, an extension of the Open Inference Protocol: the part that load generators read."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from models.manifest import TensorSpec
from service.catalog.catalog import Catalog
from service.catalog.served_version import ServedVersion
from service.http.access import PUBLIC
from service.inference.limits import Limits
from service.routes.openapi import api_router, error_responses
from service.routes.parameters import ModelName
from service.routes.versions import for_default_and_named

_DATA_TYPES = {"BYTES": "STRING"}
"""Names of the extension for datatypes that the protocol names otherwise."""


class ConfiguredTensor(BaseModel):
    """An input or output of a model."""

    name: str
    data_type: str
    dims: list[int] = Field(description="Shape, without the batch axis if the model is batched.")


class DynamicBatching(BaseModel):
    """How requests are combined into batches."""

    max_queue_delay_microseconds: int = Field(description="How long a batch that is not full waits for more requests.")


class Parameter(BaseModel):
    """A setting that the extension has no field for."""

    string_value: str


class ModelConfiguration(BaseModel):
    """How a model is served."""

    name: str
    platform: str = "onnxruntime_onnx"
    backend: str = "onnxruntime"
    max_batch_size: int = Field(description="Most rows of one batch; 0 if the model cannot be batched.")
    input: list[ConfiguredTensor]
    output: list[ConfiguredTensor]
    dynamic_batching: DynamicBatching
    parameters: dict[str, Parameter] = Field(
        {}, description="`inline_ms`: runs expected to be shorter start at once, without batching and without a thread."
    )


def describe(served: ServedVersion, limits: Limits) -> ModelConfiguration:
    """How a version is served, where these limits hold for models without their own."""
    own = limits.for_model(served.manifest.batching)
    batch_axes = 1 if served.is_batchable else 0
    return ModelConfiguration(
        name=served.model,
        max_batch_size=own.max_batch_rows if served.is_batchable else 0,
        input=_tensors(served.manifest.inputs, batch_axes),
        output=_tensors(served.manifest.outputs, batch_axes),
        dynamic_batching=DynamicBatching(max_queue_delay_microseconds=round(own.batch_wait * 1e6)),
        parameters={"inline_ms": Parameter(string_value=f"{own.inline * 1e3:g}")},
    )


def router(catalog: Catalog, limits: Limits) -> APIRouter:
    """Configurations of models and versions."""
    routes = api_router("models", PUBLIC)

    @for_default_and_named(
        routes, "GET", "/v2/models/{model}/config", summary="Model configuration", responses=error_responses(404, 503)
    )
    async def get_model_configuration(model: ModelName, version: int | None) -> ModelConfiguration:
        """How the version is served: its tensors, and how its requests are combined into batches."""
        return describe(catalog.get(model, version), limits)

    return routes


def _tensors(specs: tuple[TensorSpec, ...], batch_axes: int) -> list[ConfiguredTensor]:
    return [
        ConfiguredTensor(
            name=spec.name,
            data_type=f"TYPE_{_DATA_TYPES.get(spec.datatype, spec.datatype)}",
            dims=list(spec.shape[batch_axes:]),
        )
        for spec in specs
    ]
