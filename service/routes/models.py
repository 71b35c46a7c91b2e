"""Models: which there are, their tensors and versions, and where each version came from."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from models.capabilities import unavailable
from models.manifest import Capability, Generation, ImagePreprocessing, Lineage, Parity, Tokenization, TrainingRecord
from service.catalog.catalog import Catalog
from service.http.access import PUBLIC
from service.routes.openapi import api_router, error_responses
from service.routes.parameters import ModelName
from service.routes.versions import for_default_and_named


class TensorMetadata(BaseModel):
    """An input or output of a model."""

    name: str
    datatype: str
    shape: list[int] = Field(description="-1 stands for any size. The first axis is the batch.")


class ModelMetadata(BaseModel):
    """Inputs, outputs and versions of a model."""

    name: str
    versions: list[str] = Field(description="The loaded versions.")
    platform: str = "onnxruntime_onnx"
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    properties: dict[str, str] = Field(
        description="`version` that is described, `provider` that runs it, and `precision` that it computes with."
    )


class TextInput(BaseModel):
    """How texts become inputs of a model, without its vocabulary."""

    max_tokens: int = Field(description="Words and signs of a text; longer ones are refused.")
    vocabulary_size: int = Field(description="Different words and signs that the model knows.")


class ModelCard(BaseModel):
    """The manifest of a version without its tensors and layers."""

    name: str
    version: int
    description: str
    provider: str = Field(description="Execution provider of onnxruntime, verified when the version was loaded.")
    precision: str = Field(
        description="What it computes with: float32 where the precision that is set would change its answers."
    )
    labels: list[str] | None = Field(description="Names of the classes, in the order of the model's output.")
    preprocessing: ImagePreprocessing | None = Field(description="How images become inputs of the model.")
    tokenization: TextInput | None = Field(description="How texts become inputs of the model.")
    generation: Generation | None = Field(description="How a generator's input is drawn and its images are written.")
    parity: Parity
    lineage: Lineage
    training: TrainingRecord | None
    unavailable: dict[Capability, str] = Field(
        description="What cannot be done with the version besides predicting, and why."
    )
    warnings: list[str] = Field(description="What the publisher of the version should know, and can do.")


class ModelList(BaseModel):
    """Names of the loaded models."""

    models: list[str]


def describe(catalog: Catalog, model: str, version: int | None) -> ModelMetadata:
    """Inputs, outputs and loaded versions of a model.

    Raises:
        NotFound, NotReady: the version is not loaded.
    """
    served = catalog.get(model, version)
    manifest = served.manifest
    return ModelMetadata(
        name=served.model,
        versions=[str(version) for version in catalog.versions(served.model)],
        inputs=[TensorMetadata.model_validate(spec.model_dump()) for spec in manifest.inputs],
        outputs=[TensorMetadata.model_validate(spec.model_dump()) for spec in manifest.outputs],
        properties={
            "version": str(served.version),
            "provider": served.engine.provider,
            "precision": served.engine.precision,
        },
    )


def _describe_text_input(tokenization: Tokenization | None) -> TextInput | None:
    if tokenization is None:
        return None
    return TextInput(max_tokens=tokenization.max_tokens, vocabulary_size=len(tokenization.vocabulary))


def router(catalog: Catalog) -> APIRouter:
    """Models and their versions."""
    routes = api_router("models", PUBLIC)

    @routes.get("/v2/models", summary="List models")
    async def list_models() -> ModelList:
        """Names of all models that have a loaded version."""
        return ModelList(models=catalog.names())

    @for_default_and_named(
        routes, "GET", "/v2/models/{model}", summary="Model metadata", responses=error_responses(404, 503)
    )
    async def get_model_metadata(model: ModelName, version: int | None) -> ModelMetadata:
        """Inputs and outputs with their datatypes and shapes, and the loaded versions."""
        return describe(catalog, model, version)

    @for_default_and_named(
        routes, "GET", "/v2/models/{model}/card", summary="Model card", responses=error_responses(404, 503)
    )
    async def get_model_card(model: ModelName, version: int | None) -> ModelCard:
        """What the version was trained on and derived from, and how closely its folded graph agrees with its source."""
        served = catalog.get(model, version)
        manifest = served.manifest
        return ModelCard(
            name=served.model,
            version=served.version,
            description=manifest.description,
            provider=served.engine.provider,
            precision=served.engine.precision,
            labels=None if manifest.labels is None else list(manifest.labels),
            preprocessing=manifest.preprocessing,
            tokenization=_describe_text_input(manifest.tokenization),
            generation=manifest.generation,
            parity=manifest.parity,
            lineage=manifest.lineage,
            training=manifest.training,
            unavailable=unavailable(manifest),
            warnings=list(manifest.warnings),
        )

    return routes
