"""`auto` mode of a model: switch it on with limits, follow its steps, switch it off."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field

from models import capabilities
from models.errors import InvalidInput
from models.recalibration.auto import may_attempt_at
from models.repository.auto import Auto, AutoLimits, Phase, StepName
from service.catalog.catalog import Catalog
from service.catalog.rollouts import Rollouts
from service.host.blocking_pool import BlockingPool
from service.host.clock import steady, to_date
from service.http.access import ADMIN, PUBLIC
from service.replicas.agreement import Agreement
from service.routes.openapi import api_router, change_responses, error_responses
from service.routes.parameters import ModelName


class AutoRequest(AutoLimits):
    """What `auto` mode may do. Each limit has a default."""

    # FastAPI takes no body whose class is built later.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=False)


class AutoStepReport(BaseModel):
    """A step that was taken."""

    time: datetime
    step: StepName
    version: str = Field(description="That the step is about.")
    reason: str


class AutoReport(BaseModel):
    """`auto` mode of a model."""

    model_name: str
    on: bool
    phase: Phase | None = Field(None, description="What it does now; null while it is off.")
    since: datetime | None = Field(None, description="When the phase began.")
    base: str | None = Field(None, description="The version that all others are made from, and that is rolled back to.")
    default: str | None = Field(None, description="The version that answers, as auto mode has left it.")
    candidate: str | None = Field(None, description="The version that is its shadow or its canary.")
    job: str | None = Field(None, description="Id of its re-calibration, while it collects and estimates.")
    next_attempt: datetime | None = Field(
        None, description="Before it, an alarm that is open already leads to no attempt; null where one may begin now."
    )
    limits: AutoLimits | None = None
    log: list[AutoStepReport] = Field([], description="The last steps, oldest first.")

    @classmethod
    def of(cls, model: str, auto: Auto | None) -> Self:
        """The response's form of a state."""
        if auto is None:
            return cls(model_name=model, on=False)
        next_attempt = may_attempt_at(auto)
        return cls(
            model_name=model,
            on=True,
            phase=auto.phase,
            since=to_date(auto.since),
            base=str(auto.base),
            default=str(auto.served),
            candidate=None if auto.candidate is None else str(auto.candidate),
            job=auto.job,
            next_attempt=to_date(next_attempt) if next_attempt > steady() else None,
            limits=auto.limits,
            log=[
                AutoStepReport(time=to_date(step.at), step=step.step, version=str(step.version), reason=step.reason)
                for step in auto.log
            ],
        )


def router(
    catalog: Catalog, rollouts: Rollouts, reads: BlockingPool, changes: Agreement, *, estimates_accuracy: bool
) -> APIRouter:
    """`auto` mode. A change is complete when the response is sent.

    Args:
        catalog: what is loaded.
        rollouts: store its state.
        reads: threads that read the repository.
        changes: change what all replicas serve.
        estimates_accuracy: whether the accuracy of the traffic is estimated.
    """
    routes = api_router("rollout")
    path = "/v2/models/{model}/auto"

    async def report(model: str) -> AutoReport:
        rollout = await reads.run(f"read the rollout of model '{model}'", rollouts.get, model)
        return AutoReport.of(model, rollout.auto)

    @routes.get(path, summary="Auto mode of a model", dependencies=[PUBLIC], responses=error_responses(404, 503))
    async def get_auto(model: ModelName) -> AutoReport:
        """Whether versions are re-calibrated and promoted without an operator, what happens now, and the last steps."""
        return await report(model)

    @routes.put(
        path,
        summary="Switch auto mode on",
        dependencies=[ADMIN],
        responses=change_responses(400, 401, 403, 404, 503),
    )
    async def start_auto(
        model: ModelName,
        request: Annotated[AutoRequest, Body(openapi_examples={"example": {"value": {"canary_share": 0.1}}})],
    ) -> AutoReport:
        """Re-calibrate when an alarm opens, and promote what is better: collect, estimate, gates, shadow, canary.

        Where it is on already, this changes its limits. After it has paused, since somebody else has changed the
        rollout, this switches it on again. Any other change of the rollout pauses it.
        """
        _require_estimates(catalog, model, estimates_accuracy=estimates_accuracy)
        limits = AutoLimits(**request.model_dump())
        await changes.run(f"switch auto mode of model '{model}' on", rollouts.start_auto, model, limits, steady())
        return await report(model)

    @routes.delete(
        path,
        summary="Switch auto mode off",
        dependencies=[ADMIN],
        responses=change_responses(400, 401, 403, 404, 503),
    )
    async def stop_auto(model: ModelName) -> AutoReport:
        """End auto mode, and its shadow or canary. The version that answers stays."""
        await changes.run(f"switch auto mode of model '{model}' off", rollouts.stop_auto, model)
        return await report(model)

    return routes


def _require_estimates(catalog: Catalog, model: str, *, estimates_accuracy: bool) -> None:
    manifest = catalog.get(model).manifest
    capabilities.require(manifest, "recalibration")
    if manifest.num_classes is None or manifest.drift is None:
        raise InvalidInput(
            f"model '{model}' has no estimate of its accuracy, which auto mode decides by: it needs a model that "
            "classifies, with held-out rows",
            "auto",
        )
    if not estimates_accuracy:
        raise InvalidInput("auto mode needs the settings estimate_accuracy and watch_percent above 0", "auto")
