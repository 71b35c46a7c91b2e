"""The domains of a model: versions that answer the rows which fit their statistics."""

from collections.abc import Callable
from typing import Annotated, Any, Self

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field, field_validator

from models.repository.rollout import Rollout
from service.catalog.catalog import Catalog
from service.catalog.rollouts import Rollouts
from service.host.blocking_pool import BlockingPool
from service.http.access import ADMIN, PUBLIC
from service.replicas.agreement import Agreement
from service.routes.openapi import api_router, change_responses, error_responses
from service.routes.parameters import ModelName, VersionNumber
from service.telemetry.statistics import Gather, ServiceStatistics

_MAX_DOMAINS = 8
"""Each row is compared with all of them, and they stay loaded."""


class DomainsRequest(BaseModel):
    """The versions that serve domains."""

    model_config = ConfigDict(extra="forbid", strict=True)

    versions: list[VersionNumber] = Field(
        min_length=1,
        max_length=_MAX_DOMAINS,
        description="Each was re-calibrated from the default version, which answers the rows that fit none of them.",
    )

    @field_validator("versions")
    @classmethod
    def _each_once(cls, versions: list[int]) -> list[int]:
        if len({*versions}) < len(versions):
            raise ValueError("a version is named twice")
        return versions


class DomainReport(BaseModel):
    """A version that serves a domain."""

    version: str
    margin: float = Field(
        description="What the score of a row has to exceed: the log density of its moments under the version's "
        "statistics less that under the default version's, per channel. At most 1 % of the default version's own rows "
        "exceed it."
    )
    loaded: bool = Field(description="If not, the default version answers its rows.")
    rows: int = Field(description="That were sent to it since the service started.")


class DomainsReport(BaseModel):
    """Which versions serve domains. Counts begin when the service starts."""

    model_name: str
    default: str = Field(description="Answers the rows that fit no other version.")
    rows: int = Field(description="That were sent to it since they fit no other version.")
    versions: list[DomainReport] = Field(description="Empty where the default version answers all rows.")

    @classmethod
    def of(cls, model: str, rollout: Rollout, catalog: Catalog, statistics: ServiceStatistics) -> Self:
        """Describe a model.

        Raises:
            NotReady: no version of the model is loaded.
        """
        default = catalog.get(model)
        served = catalog.domains_of(default)
        loaded = set() if served is None else {version.version for version in served.versions}
        return cls(
            model_name=model,
            default=str(default.version),
            rows=statistics.of(model, default.version).routed,
            versions=[
                DomainReport(
                    version=str(domain.version),
                    margin=domain.margin,
                    loaded=domain.version in loaded,
                    rows=statistics.of(model, domain.version).routed,
                )
                for domain in rollout.domains
            ],
        )


def router(catalog: Catalog, rollouts: Rollouts, gather: Gather, reads: BlockingPool, changes: Agreement) -> APIRouter:
    """Domains. A change is complete when the response is sent; requests in flight keep their versions.

    Args:
        catalog: what is loaded.
        rollouts: change which version answers.
        gather: collects the statistics.
        reads: threads that read the repository.
        changes: change what all replicas serve.
    """
    routes = api_router("rollout")
    path = "/v2/models/{model}/rollout/domains"
    changing: dict[str, Any] = {"dependencies": [ADMIN], "responses": change_responses(400, 401, 403, 404, 503)}

    async def report(model: str) -> DomainsReport:
        rollout = await reads.run(f"read the rollout of model '{model}'", rollouts.get, model)
        return DomainsReport.of(model, rollout, catalog, await gather())

    async def change(model: str, function: Callable[..., None], *args: Any) -> DomainsReport:
        await changes.run(f"change the domains of model '{model}'", function, model, *args)
        return await report(model)

    @routes.get(path, summary="Domains of a model", dependencies=[PUBLIC], responses=error_responses(404, 503))
    async def get_domains(model: ModelName) -> DomainsReport:
        """Which versions answer the rows that fit their statistics, and how many rows each has got."""
        return await report(model)

    @routes.put(path, summary="Set the domains", **changing)
    async def set_domains(
        model: ModelName,
        request: Annotated[DomainsRequest, Body(openapi_examples={"example": {"value": {"versions": [2]}}})],
    ) -> DomainsReport:
        """Send each row of the requests that name no version to the version whose statistics it fits.

        The default version answers the rows that fit no other, and is pinned. What a row has to exceed to leave it is
        calibrated on its held-out rows now. Each request waits for a run of the default version's first layers.
        """
        return await change(model, rollouts.set_domains, request.versions)

    @routes.delete(path, summary="End the domains", **changing)
    async def end_domains(model: ModelName) -> DomainsReport:
        """Send all rows to the default version again."""
        return await change(model, rollouts.end_domains)

    return routes
