"""Model configuration, an extension of the Open Inference Protocol: what its clients and load generators read."""

from collections.abc import Sequence
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from models.manifest import Manifest, TensorSpec
from service.catalog.catalog import Catalog
from service.catalog.served_version import ServedVersion
from service.http.access import PUBLIC
from service.inference.limits import Limits
from service.routes.openapi import api_router, error_responses
from service.routes.parameters import ModelName
from service.routes.versions import for_default_and_named

_DATA_TYPES = {"BYTES": "STRING"}
"""Names of the extension for datatypes that the protocol names otherwise."""


class ConfiguredInput(BaseModel):
    """An input of a model."""

    name: str
    data_type: str
    format: Literal["FORMAT_NONE", "FORMAT_NCHW"] = Field(description="FORMAT_NCHW for images, channels first.")
    dims: list[int] = Field(description="Shape, without the batch axis if the model is batched.")
    optional: bool = False


class ConfiguredOutput(BaseModel):
    """An output of a model."""

    name: str
    data_type: str
    dims: list[int] = Field(description="Shape, without the batch axis if the model is batched.")


class SpecificVersions(BaseModel):
    """Versions by number."""

    versions: list[int]


class VersionPolicy(BaseModel):
    """Which versions are served."""

    specific: SpecificVersions


class InstanceGroup(BaseModel):
    """What runs a model."""

    name: str
    kind: Literal["KIND_CPU", "KIND_GPU"]
    count: int = Field(description="Runs at the same time, of all models.")
    gpus: list[int] = []


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
    version_policy: VersionPolicy
    max_batch_size: int = Field(description="Most rows of one batch; 0 if the model cannot be batched.")
    input: list[ConfiguredInput]
    output: list[ConfiguredOutput]
    instance_group: list[InstanceGroup]
    default_model_filename: str = "folded.onnx"
    dynamic_batching: DynamicBatching | None = Field(description="Absent if the model cannot be batched.")
    parameters: dict[str, Parameter] = Field(
        {}, description="`inline_ms`: runs expected to be shorter start at once, without batching and without a thread."
    )


def describe(served: ServedVersion, limits: Limits, versions: Sequence[int]) -> ModelConfiguration:
    """How a version is served.

    Args:
        served: the version.
        limits: of models without their own.
        versions: of the model that are loaded.
    """
    own = limits.for_model(served.manifest.batching)
    is_batchable = served.is_batchable
    delay = DynamicBatching(max_queue_delay_microseconds=round(own.batch_wait * 1e6))
    return ModelConfiguration(
        name=served.model,
        version_policy=VersionPolicy(specific=SpecificVersions(versions=list(versions))),
        max_batch_size=own.max_batch_rows if is_batchable else 0,
        input=[
            ConfiguredInput(format=_format(served.manifest, spec), **_tensor(spec, is_batchable))
            for spec in served.manifest.inputs
        ],
        output=[ConfiguredOutput(**_tensor(spec, is_batchable)) for spec in served.manifest.outputs],
        instance_group=[_instances(served, limits)],
        dynamic_batching=delay if is_batchable else None,
        parameters={"inline_ms": Parameter(string_value=f"{own.inline * 1e3:g}")},
    )


def router(catalog: Catalog, limits: Limits) -> APIRouter:
    """Configurations of models and versions."""
    routes = api_router("models", PUBLIC)

    @for_default_and_named(
        routes,
        "GET",
        "/v2/models/{model}/config",
        summary="Model configuration",
        responses=error_responses(404, 503),
        response_model_exclude_none=True,
    )
    async def get_model_configuration(model: ModelName, version: int | None) -> ModelConfiguration:
        """How the version is served: its tensors, what runs it, and how its requests are combined into batches."""
        return describe(catalog.get(model, version), limits, catalog.versions(model))

    return routes


def _tensor(spec: TensorSpec, is_batchable: bool) -> dict[str, object]:
    return {
        "name": spec.name,
        "data_type": f"TYPE_{_DATA_TYPES.get(spec.datatype, spec.datatype)}",
        "dims": list(spec.shape[1:] if is_batchable else spec.shape),
    }


def _format(manifest: Manifest, spec: TensorSpec) -> Literal["FORMAT_NONE", "FORMAT_NCHW"]:
    """The extension allows the format of images only for inputs of three axes besides the batch."""
    axes = len(spec.shape) - manifest.is_batchable
    return "FORMAT_NCHW" if manifest.preprocessing is not None and axes == 3 else "FORMAT_NONE"


def _instances(served: ServedVersion, limits: Limits) -> InstanceGroup:
    on_gpu = served.engine.provider.startswith("CUDA")
    return InstanceGroup(
        name=served.model,
        kind="KIND_GPU" if on_gpu else "KIND_CPU",
        count=limits.concurrency,
        gpus=[0] if on_gpu else [],
    )
