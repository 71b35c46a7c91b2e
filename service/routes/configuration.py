"""The model configuration extension, as far as load generators read it."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from models.manifest import TensorSpec
from service.catalog.catalog import Catalog
from service.catalog.served_version import ServedVersion
from service.http.access import PUBLIC
from service.inference.limits import Limits
from service.routes.answers import errors
from service.routes.models import ModelName, Version

_CONFIGURED = {"BYTES": "STRING"}
"""The extension's names of types, where they are not the protocol's."""


class ConfiguredTensor(BaseModel):
    """An input or output, without its batch axis where the model is batched."""

    name: str
    data_type: str
    dims: list[int]


class DynamicBatching(BaseModel):
    """How requests are joined into one run."""

    max_queue_delay_microseconds: int = Field(description="how long a batch that is not full may wait for more")


class Parameter(BaseModel):
    """A value that the extension has no field for."""

    string_value: str


class ModelConfiguration(BaseModel):
    """How a model is served."""

    name: str
    platform: str = "onnxruntime_onnx"
    backend: str = "onnxruntime"
    max_batch_size: int = Field(description="rows that are joined into one run; 0 where the batch axis is not free")
    input: list[ConfiguredTensor]
    output: list[ConfiguredTensor]
    dynamic_batching: DynamicBatching
    parameters: dict[str, Parameter] = {}


def router(catalog: Catalog, limits: Limits) -> APIRouter:
    """Configurations of models and versions."""
    routes = APIRouter(tags=["models"], dependencies=[PUBLIC])

    def describe(served: ServedVersion) -> ModelConfiguration:
        first = 1 if served.is_batchable else 0
        own = limits.of(served.manifest.batching)

        def tensors(specs: tuple[TensorSpec, ...]) -> list[ConfiguredTensor]:
            return [
                ConfiguredTensor(
                    name=spec.name,
                    data_type=f"TYPE_{_CONFIGURED.get(spec.datatype, spec.datatype)}",
                    dims=list(spec.shape[first:]),
                )
                for spec in specs
            ]

        return ModelConfiguration(
            name=served.model,
            max_batch_size=own.max_batch_rows if served.is_batchable else 0,
            input=tensors(served.manifest.inputs),
            output=tensors(served.manifest.outputs),
            dynamic_batching=DynamicBatching(max_queue_delay_microseconds=round(own.batch_wait * 1e6)),
            parameters={"inline_ms": Parameter(string_value=f"{own.inline * 1e3:g}")},
        )

    @routes.get("/v2/models/{model}/config", summary="How is this model served?", responses=errors(404, 503))
    async def model_configuration(model: ModelName) -> ModelConfiguration:
        return describe(catalog.get(model))

    @routes.get(
        "/v2/models/{model}/versions/{version}/config",
        summary="How is this version served?",
        responses=errors(404, 503),
    )
    async def version_configuration(model: ModelName, version: Version) -> ModelConfiguration:
        return describe(catalog.get(model, version))

    return routes
