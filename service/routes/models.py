"""What each model is: tensors, versions, where it came from."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, BeforeValidator, Field

from models.manifest import ImagePreprocessing, Lineage, Parity, TrainingRecord
from service.catalog.catalog import Catalog
from service.catalog.served_version import ServedVersion
from service.http.access import PUBLIC
from service.routes.answers import EXAMPLE_MODEL, errors, example

ModelName = Annotated[str, Path(description="name of a model", openapi_examples=example(EXAMPLE_MODEL))]


def _whole_number(value: str) -> str:
    # Left to itself, a path parameter takes "1.0" for 1.
    if not (value.isascii() and value.isdecimal()):
        raise ValueError("must be a whole number")
    return value


Version = Annotated[
    int,
    BeforeValidator(_whole_number),
    Path(ge=1, lt=10**9, description="version of the model", openapi_examples=example(1)),
]


class Tensor(BaseModel):
    """An input or output, as the protocol describes it."""

    name: str
    datatype: str
    shape: list[int] = Field(description="-1 where any size goes; the first axis is the batch")


class ModelMetadata(BaseModel):
    """What the protocol says of a model."""

    name: str
    versions: list[str]
    platform: str = "onnxruntime_onnx"
    inputs: list[Tensor]
    outputs: list[Tensor]
    properties: dict[str, str]


class ModelCard(BaseModel):
    """Everything that a version says about itself, besides its layers."""

    name: str
    version: int
    description: str
    provider: str = Field(description="the execution provider that runs it, as verified when it was loaded")
    labels: list[str] | None
    preprocessing: ImagePreprocessing | None
    parity: Parity
    lineage: Lineage
    training: TrainingRecord | None


class ModelList(BaseModel):
    """The models that answer."""

    models: list[str]


def router(catalog: Catalog) -> APIRouter:
    """Models and their versions."""
    routes = APIRouter(tags=["models"], dependencies=[PUBLIC])

    def metadata(served: ServedVersion) -> ModelMetadata:
        manifest = served.manifest
        return ModelMetadata(
            name=served.model,
            versions=[str(version) for version in catalog.versions(served.model)],
            inputs=[Tensor.model_validate(spec.model_dump()) for spec in manifest.inputs],
            outputs=[Tensor.model_validate(spec.model_dump()) for spec in manifest.outputs],
            properties={"version": str(served.version), "provider": served.engine.provider},
        )

    def card(served: ServedVersion) -> ModelCard:
        manifest = served.manifest
        return ModelCard(
            name=served.model,
            version=served.version,
            description=manifest.description,
            provider=served.engine.provider,
            labels=None if manifest.labels is None else list(manifest.labels),
            preprocessing=manifest.preprocessing,
            parity=manifest.parity,
            lineage=manifest.lineage,
            training=manifest.training,
        )

    @routes.get("/v2/models", summary="Which models are there?")
    async def models() -> ModelList:
        return ModelList(models=catalog.names())

    @routes.get("/v2/models/{model}", summary="What does this model take and give?", responses=errors(404, 503))
    async def model_metadata(model: ModelName) -> ModelMetadata:
        return metadata(catalog.get(model))

    @routes.get(
        "/v2/models/{model}/versions/{version}",
        summary="What does this version take and give?",
        responses=errors(404, 503),
    )
    async def version_metadata(model: ModelName, version: Version) -> ModelMetadata:
        return metadata(catalog.get(model, version))

    @routes.get("/v2/models/{model}/card", summary="Where does this model come from?", responses=errors(404, 503))
    async def model_card(model: ModelName) -> ModelCard:
        return card(catalog.get(model))

    @routes.get(
        "/v2/models/{model}/versions/{version}/card",
        summary="Where does this version come from?",
        responses=errors(404, 503),
    )
    async def version_card(model: ModelName, version: Version) -> ModelCard:
        return card(catalog.get(model, version))

    return routes
