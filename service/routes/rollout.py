"""The rollout of a model: set canary and shadow, promote a version, roll back."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field

from models.repository.rollout import Canary, Rollout
from service.catalog.catalog import Catalog
from service.catalog.rollouts import Rollouts
from service.host.blocking_pool import BlockingPool
from service.http.access import ADMIN, PUBLIC
from service.replicas.agreement import Agreement
from service.routes.openapi import api_router, change_responses, error_responses
from service.routes.parameters import ModelName, VersionNumber
from service.routes.rollout_state import RolloutState
from service.telemetry.statistics import Gather
from service.watching.monitor import DriftMonitor


class ShadowRequest(BaseModel):
    """The version to compare with the default one."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: VersionNumber


class CanaryRequest(BaseModel):
    """The version that answers a share of the requests."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: VersionNumber
    share: float = Field(gt=0, le=1, description="Of the requests that name no version.", examples=[0.1])


class PromoteRequest(BaseModel):
    """The version to promote."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: VersionNumber | None = Field(None, description="The canary, or else the shadow, if absent.")


_CANARY_OR_SHADOW = PromoteRequest(version=None)


def router(
    catalog: Catalog,
    rollouts: Rollouts,
    monitor: DriftMonitor,
    gather: Gather,
    reads: BlockingPool,
    changes: Agreement,
) -> APIRouter:
    """Rollouts. A change is complete when the response is sent; requests in flight keep their version.

    Args:
        catalog: what is loaded.
        rollouts: change which version answers.
        monitor: judges the versions.
        gather: collects the statistics.
        reads: threads that read the repository.
        changes: change what all replicas serve.
    """
    routes = api_router("rollout")
    changing: dict[str, Any] = {"dependencies": [ADMIN], "responses": change_responses(400, 401, 403, 404, 503)}

    async def state(model: str) -> RolloutState:
        rollout, versions = await reads.run(f"read the rollout of model '{model}'", _read, rollouts, catalog, model)
        return RolloutState.of(model, rollout, versions, catalog, monitor, await gather())

    async def change(model: str, function: Callable[..., None], *args: Any) -> RolloutState:
        await changes.run(f"change the rollout of model '{model}'", function, model, *args)
        return await state(model)

    @routes.get(
        "/v2/models/{model}/rollout",
        summary="Rollout of a model",
        dependencies=[PUBLIC],
        responses=error_responses(404, 503),
    )
    async def get_rollout(model: ModelName) -> RolloutState:
        """Which version answers what, and how the versions compare."""
        return await state(model)

    @routes.put("/v2/models/{model}/rollout/canary", summary="Set the canary", **changing)
    async def set_canary(
        model: ModelName, request: Annotated[CanaryRequest, _example({"version": 2, "share": 0.1})]
    ) -> RolloutState:
        """Send a share of the requests that name no version to a version. The default version is pinned."""
        canary = Canary(version=request.version, share=request.share)
        return await change(model, rollouts.set_canary, canary)

    @routes.delete("/v2/models/{model}/rollout/canary", summary="End the canary", **changing)
    async def end_canary(model: ModelName) -> RolloutState:
        """Send its share of the requests to the default version again."""
        return await change(model, rollouts.set_canary, None)

    @routes.put("/v2/models/{model}/rollout/shadow", summary="Set the shadow", **changing)
    async def set_shadow(model: ModelName, request: Annotated[ShadowRequest, _example({"version": 2})]) -> RolloutState:
        """Run a version on the default version's inputs and compare the outputs. The default version is pinned."""
        return await change(model, rollouts.set_shadow, request.version)

    @routes.delete("/v2/models/{model}/rollout/shadow", summary="End the shadow", **changing)
    async def end_shadow(model: ModelName) -> RolloutState:
        """Compare no version with the default one."""
        return await change(model, rollouts.set_shadow, None)

    @routes.post("/v2/models/{model}/rollout/promote", summary="Promote a version", **changing)
    async def promote_version(
        model: ModelName, request: Annotated[PromoteRequest, _example({"version": 1})] = _CANARY_OR_SHADOW
    ) -> RolloutState:
        """Make a version the default and end the canary."""
        return await change(model, rollouts.promote, request.version)

    @routes.post("/v2/models/{model}/rollout/rollback", summary="Roll back", **changing)
    async def roll_back(model: ModelName) -> RolloutState:
        """Make the previous default version the default again."""
        return await change(model, rollouts.roll_back)

    return routes


def _read(rollouts: Rollouts, catalog: Catalog, model: str) -> tuple[Rollout, list[int]]:
    return rollouts.get(model), catalog.repository.versions(model)


def _example(value: dict[str, Any]) -> Any:
    return Body(openapi_examples={"example": {"value": value}})
