"""The model repository: index, load and unload models and versions, delete old versions."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from pydantic import BaseModel, ConfigDict, Field

from models.errors import InvalidInput
from service.catalog.catalog import Catalog
from service.catalog.index import LoadState
from service.catalog.rollouts import Rollouts
from service.host.blocking_pool import BlockingPool
from service.http.access import ADMIN, PUBLIC
from service.http.bodies import read_body
from service.replicas.agreement import Agreement
from service.routes.openapi import api_router, change_responses, error_responses, json_body
from service.routes.parameters import ModelName, Version
from service.wire.json_object import parse_object, require_boolean, require_known

_MAX_OPTIONS_BYTES = 1 << 16


class IndexedVersion(BaseModel):
    """A version of a model in the repository."""

    name: str
    version: str = Field(description="Its number, or the name of the folder; empty if the model cannot be read.")
    state: LoadState
    reason: str = Field(description="Why it is not loaded; empty if it is.")


class LoadedVersions(BaseModel):
    """The versions of a model that are loaded now."""

    name: str
    versions: list[str]


class UnloadedModel(BaseModel):
    """A model that is no longer served."""

    name: str


class PruneRequest(BaseModel):
    """Which versions to keep."""

    model_config = ConfigDict(extra="forbid", strict=True)

    keep: int = Field(ge=1, description="How many of the newest versions to keep, besides those in use.")


class PrunedVersions(BaseModel):
    """The versions that were deleted."""

    name: str
    deleted: list[str]


def router(catalog: Catalog, rollouts: Rollouts, reads: BlockingPool, changes: Agreement) -> APIRouter:
    """The repository. Models are named, never located: no path or URL of a request is ever opened.

    Args:
        catalog: what is loaded.
        rollouts: change which versions are loaded.
        reads: threads that read the repository.
        changes: change what all replicas serve.
    """
    routes = api_router("repository")

    def loaded(model: str) -> LoadedVersions:
        return LoadedVersions(name=model, versions=[str(version) for version in catalog.versions(model)])

    @routes.post(
        "/v2/repository/index",
        summary="List versions",
        dependencies=[PUBLIC],
        responses=error_responses(400, 503),
        openapi_extra=_optional_body(
            {
                "properties": {"ready": {"type": "boolean", "description": "Only versions that are loaded."}},
                "additionalProperties": False,
            }
        ),
    )
    async def list_versions(request: Request) -> list[IndexedVersion]:
        """All versions of all models in the repository, and whether each is loaded."""
        only_ready = require_boolean((await _options(request, "ready")).get("ready", False), "ready")
        return [
            IndexedVersion(name=entry.name, version=entry.version, state=entry.state, reason=entry.reason)
            for entry in await reads.run("list the repository", catalog.index)
            if entry.state == "READY" or not only_ready
        ]

    @routes.post(
        "/v2/repository/models/{model}/load",
        summary="Load a model",
        dependencies=[ADMIN],
        responses=change_responses(400, 401, 403, 404, 503),
        openapi_extra=_optional_body({"properties": {}}),
    )
    async def load_model(model: ModelName, request: Request) -> LoadedVersions:
        """Bring a model up to date with the repository: load new versions, then drop those no longer needed.

        All or nothing: if a version that is to be loaded cannot be, the answer is 503 with the reason, and what was
        served is served on.
        """
        options = await _options(request, "parameters")
        if options.get("parameters"):
            raise InvalidInput("configurations and files cannot be sent: publish a bundle instead", "parameters")
        await changes.run(f"load model '{model}'", catalog.load, model)
        return loaded(model)

    @routes.post(
        "/v2/repository/models/{model}/unload",
        summary="Unload a model",
        dependencies=[ADMIN],
        responses=change_responses(400, 401, 403, 404, 503),
        openapi_extra=_optional_body({"properties": {}}),
    )
    async def unload_model(model: ModelName, request: Request) -> UnloadedModel:
        """Stop serving a model until it is loaded again. Requests in flight are still answered.

        Nothing changes where it is not loaded.
        """
        await _options(request, "parameters")
        await changes.run(f"unload model '{model}'", catalog.unload, model)
        return UnloadedModel(name=model)

    @routes.post(
        "/v2/repository/models/{model}/versions/{version}/load",
        summary="Load a version",
        dependencies=[ADMIN],
        responses=change_responses(400, 401, 403, 404, 503),
    )
    async def load_version(model: ModelName, version: Version) -> LoadedVersions:
        """Load a version and keep it loaded when newer ones are published."""
        await changes.run(f"load model '{model}' version {version}", rollouts.load, model, version)
        return loaded(model)

    @routes.post(
        "/v2/repository/models/{model}/versions/{version}/unload",
        summary="Unload a version",
        dependencies=[ADMIN],
        responses=change_responses(400, 401, 403, 404, 503),
    )
    async def unload_version(model: ModelName, version: Version) -> LoadedVersions:
        """Unload a version and do not load it again until asked, even if it is the newest."""
        await changes.run(f"unload model '{model}' version {version}", rollouts.unload, model, version)
        return loaded(model)

    @routes.post(
        "/v2/repository/models/{model}/prune",
        summary="Delete old versions",
        dependencies=[ADMIN],
        responses=change_responses(400, 401, 403, 404, 503),
    )
    async def prune_model(
        model: ModelName, pruning: Annotated[PruneRequest, Body(openapi_examples={"five": {"value": {"keep": 5}}})]
    ) -> PrunedVersions:
        """Delete all versions but the newest, those in use, and the versions that one of those was made from."""
        deleted = await changes.run(f"prune model '{model}'", rollouts.prune, model, pruning.keep)
        return PrunedVersions(name=model, deleted=[str(version) for version in deleted])

    return routes


async def _options(request: Request, *known: str) -> dict[str, Any]:
    # Triton's client sends no body and no content type here.
    body = await read_body(request.scope, request.receive, _MAX_OPTIONS_BYTES)
    options = parse_object(body) if body else {}
    require_known(options, known)
    return options


def _optional_body(schema: dict[str, Any]) -> dict[str, Any]:
    return json_body({"type": "object", **schema}, {"nothing": {"value": {}}}, required=False)
