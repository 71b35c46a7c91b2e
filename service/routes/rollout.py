"""Which version answers: default, canary, shadow, side by side."""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field

from models.drift.assessment import Assessment, Verdict
from models.manifest import Lineage
from models.repository.rollout import Canary, Rollout
from service.catalog.catalog import Catalog
from service.catalog.rollouts import Rollouts
from service.http.access import ADMIN, PUBLIC
from service.routes.openapi import api_router, error_responses
from service.routes.parameters import ModelName
from service.telemetry.durations import DurationHistogram
from service.telemetry.statistics import (
    Gather,
    ServiceStatistics,
    ShadowComparison,
    VersionStatistics,
)
from service.watching.monitor import DriftMonitor

Role = Literal["default", "canary", "shadow"]


class Choice(BaseModel):
    """A version."""

    model_config = ConfigDict(extra="forbid")

    version: int = Field(ge=1, lt=10**9)


class CanaryChoice(Choice):
    """A version, and how much it answers."""

    share: float = Field(gt=0, le=1, description="of the requests that name no version", examples=[0.1])


class Promotion(BaseModel):
    """The version to promote."""

    model_config = ConfigDict(extra="forbid")

    version: int | None = Field(None, ge=1, lt=10**9, description="the canary, or else the shadow, where it is absent")


_WHATEVER_IS_TRIED = Promotion(version=None)


class Latency(BaseModel):
    """Milliseconds that half, and 99 of 100, took at most, within the precision of the service's buckets."""

    p50: float | None
    p99: float | None

    @classmethod
    def of(cls, tally: DurationHistogram) -> "Latency":
        """From the service's own count."""
        median, most = tally.quantile(0.5), tally.quantile(0.99)
        return cls(
            p50=None if median is None else round(median * 1e3, 3), p99=None if most is None else round(most * 1e3, 3)
        )


class Compared(BaseModel):
    """A shadow beside the default version, on the same rows."""

    rows: int
    agreement: float | None = Field(description="fraction of the rows with the same likeliest class")
    largest_difference: float = Field(description="of any number of any output")
    errors: int
    dropped: int = Field(description="requests that were not compared, since the shadow was busy")
    run_ms: Latency

    @classmethod
    def of(cls, counted: ShadowComparison) -> "Compared":
        """From the service's own count."""
        return cls(
            rows=counted.rows,
            agreement=counted.agreed / counted.classified if counted.classified else None,
            largest_difference=counted.largest_difference,
            errors=counted.failed_runs,
            dropped=counted.dropped,
            run_ms=Latency.of(counted.runs),
        )


class LastWindow(BaseModel):
    """Whether the input has moved, in the last full window of rows that was observed."""

    rows: int
    verdict: Verdict
    alarm: bool
    symmetric_kl: float = Field(description="mean over layers")

    @classmethod
    def of(cls, assessment: Assessment) -> "LastWindow":
        """From the domain's own."""
        return cls(
            rows=assessment.rows,
            verdict=assessment.verdict,
            alarm=assessment.alarm,
            symmetric_kl=assessment.symmetric_kl,
        )


class VersionState(BaseModel):
    """One version, since the service started."""

    version: str
    roles: list[Role]
    loaded: bool
    lineage: Lineage | None = Field(description="where it came from; null where it is not loaded")
    requests: int
    rows: int
    errors: int
    request_ms: Latency
    run_ms: Latency
    compared: Compared | None = Field(description="with the default version, for the shadow")
    drift: LastWindow | None = Field(description="null where no window is full yet")


class RolloutState(BaseModel):
    """What has been decided, and how the versions do."""

    model_name: str
    default: str = Field(description="answers requests that name no version, but those for the canary")
    pinned: bool = Field(description="whether it stays the default when a newer version is published")
    previous: list[str] = Field(description="the defaults before it, the latest last")
    canary: Canary | None
    shadow: str | None
    versions: list[VersionState]


def _example(value: dict[str, Any]) -> Any:
    return Body(openapi_examples={"example": {"value": value}})


def router(catalog: Catalog, rollouts: Rollouts, watch: DriftMonitor, gather: Gather) -> APIRouter:
    """Decisions about a model's versions. Each is done when it is answered; requests in flight keep their version."""
    routes = api_router("rollout")
    refused = error_responses(400, 401, 403, 404, 503)

    def read(model: str) -> tuple[Rollout, list[int]]:
        return rollouts.get(model), catalog.repository.versions(model)

    async def state(model: str) -> RolloutState:
        decided, versions = await asyncio.to_thread(read, model)
        return _describe(model, decided, versions, catalog, watch, await gather())

    @routes.get(
        "/v2/models/{model}/rollout",
        summary="Which version answers, and how do they compare?",
        dependencies=[PUBLIC],
        responses=error_responses(404, 503),
    )
    async def rollout(model: ModelName) -> RolloutState:
        return await state(model)

    @routes.put(
        "/v2/models/{model}/rollout/canary",
        summary="Send a share of the requests to a version",
        dependencies=[ADMIN],
        responses=refused,
    )
    async def set_canary(
        model: ModelName, choice: Annotated[CanaryChoice, _example({"version": 2, "share": 0.1})]
    ) -> RolloutState:
        canary = Canary(version=choice.version, share=choice.share)
        await asyncio.to_thread(rollouts.set_canary, model, canary)
        return await state(model)

    @routes.delete(
        "/v2/models/{model}/rollout/canary", summary="End the canary", dependencies=[ADMIN], responses=refused
    )
    async def end_canary(model: ModelName) -> RolloutState:
        await asyncio.to_thread(rollouts.set_canary, model, None)
        return await state(model)

    @routes.put(
        "/v2/models/{model}/rollout/shadow",
        summary="Compare a version with the default one",
        dependencies=[ADMIN],
        responses=refused,
    )
    async def set_shadow(model: ModelName, choice: Annotated[Choice, _example({"version": 2})]) -> RolloutState:
        await asyncio.to_thread(rollouts.set_shadow, model, choice.version)
        return await state(model)

    @routes.delete(
        "/v2/models/{model}/rollout/shadow", summary="End the comparison", dependencies=[ADMIN], responses=refused
    )
    async def end_shadow(model: ModelName) -> RolloutState:
        await asyncio.to_thread(rollouts.set_shadow, model, None)
        return await state(model)

    @routes.post(
        "/v2/models/{model}/rollout/promote",
        summary="Make a version the default",
        dependencies=[ADMIN],
        responses=refused,
    )
    async def promote(
        model: ModelName, promotion: Annotated[Promotion, _example({"version": 1})] = _WHATEVER_IS_TRIED
    ) -> RolloutState:
        await asyncio.to_thread(rollouts.promote, model, promotion.version)
        return await state(model)

    @routes.post(
        "/v2/models/{model}/rollout/rollback",
        summary="Make the default before this one the default again",
        dependencies=[ADMIN],
        responses=refused,
    )
    async def roll_back(model: ModelName) -> RolloutState:
        await asyncio.to_thread(rollouts.roll_back, model)
        return await state(model)

    return routes


def _describe(
    model: str,
    decided: Rollout,
    versions: list[int],
    catalog: Catalog,
    watch: DriftMonitor,
    statistics: ServiceStatistics,
) -> RolloutState:
    default = catalog.get(model).version
    loaded = {served.version: served for served in catalog.served() if served.model == model}

    def describe(version: int) -> VersionState:
        served = loaded.get(version)
        counted = statistics.versions.get((model, version), VersionStatistics())
        compared = statistics.comparisons.get((model, default, version))
        judged = None if served is None else watch.of(served).judged
        return VersionState(
            version=str(version),
            roles=[role for role, other in roles.items() if other == version],
            loaded=served is not None,
            lineage=None if served is None else served.manifest.lineage,
            requests=counted.success.count + counted.fail.count,
            rows=counted.rows,
            errors=counted.fail.count,
            request_ms=Latency.of(counted.success),
            run_ms=Latency.of(counted.runs),
            compared=None if compared is None else Compared.of(compared),
            drift=None if judged is None else LastWindow.of(judged.assessment),
        )

    roles: dict[Role, int | None] = {
        "default": default,
        "canary": None if decided.canary is None else decided.canary.version,
        "shadow": decided.shadow,
    }
    return RolloutState(
        model_name=model,
        default=str(default),
        pinned=decided.default is not None,
        previous=[str(version) for version in decided.previous],
        canary=decided.canary,
        shadow=None if decided.shadow is None else str(decided.shadow),
        versions=[describe(version) for version in sorted({*versions, *loaded})],
    )
