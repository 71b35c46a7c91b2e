"""Labels of versions, by which V1 requests can name them: `stable`, `canary`, and those that are set here."""

from typing import Annotated

from fastapi import APIRouter, Body, Path
from pydantic import BaseModel, ConfigDict, Field

from service.catalog.rollouts import Rollouts
from service.host.blocking_pool import BlockingPool
from service.http.access import ADMIN
from service.replicas.agreement import Agreement
from service.routes.openapi import api_router, change_responses, example
from service.routes.parameters import ModelName, VersionNumber

_Label = Annotated[
    str, Path(description="Another label than `stable` and `canary`.", openapi_examples=example("tested"))
]


class LabelRequest(BaseModel):
    """The version that gets the label."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: VersionNumber


class VersionLabels(BaseModel):
    """The labels of a model's versions, besides `stable` and `canary`."""

    model_name: str
    labels: dict[str, str] = Field(description="Versions by label.")


def router(rollouts: Rollouts, reads: BlockingPool, changes: Agreement) -> APIRouter:
    """Labels. A change is complete when the response is sent.

    Args:
        rollouts: hold the labels.
        reads: threads that read the repository.
        changes: change what all replicas serve.
    """
    routes = api_router("rollout", ADMIN)
    errors = change_responses(400, 401, 403, 404, 503)

    async def labels(model: str) -> VersionLabels:
        rollout = await reads.run(f"read the rollout of model '{model}'", rollouts.get, model)
        return VersionLabels(model_name=model, labels={label: str(v) for label, v in rollout.labels.items()})

    @routes.put("/v2/models/{model}/rollout/labels/{label}", summary="Label a version", responses=errors)
    async def set_label(
        model: ModelName,
        label: _Label,
        request: Annotated[LabelRequest, Body(openapi_examples={"example": {"value": {"version": 1}}})],
    ) -> VersionLabels:
        """Give a version a label, in place of the one that has it. The version is loaded, and stays loaded."""
        await changes.run(f"label a version of model '{model}'", rollouts.set_label, model, label, request.version)
        return await labels(model)

    @routes.delete("/v2/models/{model}/rollout/labels/{label}", summary="Remove a label", responses=errors)
    async def remove_label(model: ModelName, label: _Label) -> VersionLabels:
        """Take a label away from the version that has it."""
        await changes.run(f"remove a label of model '{model}'", rollouts.remove_label, model, label)
        return await labels(model)

    return routes
