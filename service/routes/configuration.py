"""The model configuration extension, as far as load generators read it."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from models.manifest import TensorSpec
from service.access import PUBLIC
from service.catalog import Catalog, Served
from service.routes.answers import errors
from service.routes.models import ModelName, Version


class ConfiguredTensor(BaseModel):
    """An input or output, without its batch axis where the model is batched."""

    name: str
    data_type: str
    dims: list[int]


class ModelConfiguration(BaseModel):
    """How a model is served."""

    name: str
    platform: str = "onnxruntime_onnx"
    backend: str = "onnxruntime"
    max_batch_size: int = Field(description="rows that are joined into one run; 0 where the batch axis is not free")
    input: list[ConfiguredTensor]
    output: list[ConfiguredTensor]
    dynamic_batching: dict[str, int] = {}


def router(catalog: Catalog, max_batch_rows: int) -> APIRouter:
    """Configurations of models and versions."""
    routes = APIRouter(tags=["models"], dependencies=[PUBLIC])

    def describe(served: Served) -> ModelConfiguration:
        first = 1 if served.batchable else 0

        def tensors(specs: tuple[TensorSpec, ...]) -> list[ConfiguredTensor]:
            return [
                ConfiguredTensor(name=spec.name, data_type=f"TYPE_{spec.datatype}", dims=list(spec.shape[first:]))
                for spec in specs
            ]

        return ModelConfiguration(
            name=served.model,
            max_batch_size=max_batch_rows if served.batchable else 0,
            input=tensors(served.manifest.inputs),
            output=tensors(served.manifest.outputs),
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
