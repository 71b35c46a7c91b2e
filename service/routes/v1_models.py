"""Models in TensorFlow Serving's REST format, V1: which there are, their versions, and their signature."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from models.datatypes import Datatype
from models.manifest import TensorSpec
from service.catalog.catalog import Catalog
from service.http.access import PUBLIC
from service.routes.models import ModelList
from service.routes.openapi import api_router, error_responses
from service.routes.parameters import ModelName
from service.routes.versions import for_default_and_named
from service.wire.v1_json import SIGNATURE

_DTYPES: dict[Datatype, str] = {
    "BYTES": "DT_STRING",
    "FP16": "DT_HALF",
    "BF16": "DT_BFLOAT16",
    "FP32": "DT_FLOAT",
    "FP64": "DT_DOUBLE",
}
"""TensorFlow's names of datatypes that it does not name as the protocol does."""


class VersionStatus(BaseModel):
    """State of a version."""

    version: str
    state: str = "AVAILABLE"
    status: dict[str, str] = {"error_code": "OK", "error_message": ""}


class ModelStatus(BaseModel):
    """States of the loaded versions."""

    name: str
    ready: bool = True
    model_version_status: list[VersionStatus]


class Dimension(BaseModel):
    """One axis of a tensor."""

    size: str = Field(description="-1 for any size.")
    name: str = ""


class TensorShape(BaseModel):
    """The axes of a tensor."""

    dim: list[Dimension]
    unknown_rank: bool = False


class TensorInfo(BaseModel):
    """An input or output."""

    name: str
    dtype: str
    tensor_shape: TensorShape

    @classmethod
    def of(cls, spec: TensorSpec) -> "TensorInfo":
        """The response's form of a specification."""
        dims = [Dimension(size=str(size)) for size in spec.shape]
        dtype = _DTYPES.get(spec.datatype, f"DT_{spec.datatype}")
        return cls(name=spec.name, dtype=dtype, tensor_shape=TensorShape(dim=dims))


class Signature(BaseModel):
    """What a model takes and returns."""

    inputs: dict[str, TensorInfo]
    outputs: dict[str, TensorInfo]
    method_name: str = "tensorflow/serving/predict"


class Signatures(BaseModel):
    """Signatures by name."""

    signature_def: dict[str, Signature]


class SignatureMetadata(BaseModel):
    """The metadata that there is of a model."""

    signature_def: Signatures


class ModelSpec(BaseModel):
    """The version that is described."""

    name: str
    signature_name: str = ""
    version: str


class ModelSignature(BaseModel):
    """Inputs and outputs of a version."""

    model_spec: ModelSpec
    metadata: SignatureMetadata


def router(catalog: Catalog) -> APIRouter:
    """Models, their status and their metadata."""
    routes = api_router("models", PUBLIC)
    errors = error_responses(404, 503)

    @routes.get("/v1/models", summary="List models (V1)")
    async def list_names() -> ModelList:
        """Names of all models that have a loaded version, in KServe's format."""
        return ModelList(models=catalog.names())

    @for_default_and_named(
        routes,
        "GET",
        "/v1/models/{model:before_verb}",
        summary="Model status (V1)",
        find_version=catalog.labelled,
        responses=errors,
    )
    async def get_model_status(model: ModelName, version: int | None) -> ModelStatus:
        """The loaded versions of the model, in TensorFlow Serving's format."""
        served = catalog.get(model, version)
        versions = catalog.versions(model) if version is None else [served.version]
        return ModelStatus(name=model, model_version_status=[VersionStatus(version=str(number)) for number in versions])

    @for_default_and_named(
        routes,
        "GET",
        "/v1/models/{model}/metadata",
        summary="Model metadata (V1)",
        find_version=catalog.labelled,
        responses=errors,
    )
    async def get_model_signature(model: ModelName, version: int | None) -> ModelSignature:
        """Inputs and outputs of the version, in TensorFlow Serving's format: as the one signature that a model has."""
        served = catalog.get(model, version)
        signature = Signature(
            inputs={spec.name: TensorInfo.of(spec) for spec in served.manifest.inputs},
            outputs={spec.name: TensorInfo.of(spec) for spec in served.manifest.outputs},
        )
        return ModelSignature(
            model_spec=ModelSpec(name=model, version=str(served.version)),
            metadata=SignatureMetadata(signature_def=Signatures(signature_def={SIGNATURE: signature})),
        )

    return routes
