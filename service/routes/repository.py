"""The model repository extension: what is there, load, unload; of one version too, and deleting old ones."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from pydantic import BaseModel, ConfigDict, Field

from models.errors import InvalidInput
from service.catalog.catalog import Catalog, LoadState
from service.catalog.rollouts import Rollouts
from service.http.access import ADMIN, PUBLIC
from service.http.bodies import read_body
from service.routes.openapi import api_router, error_responses, json_body
from service.routes.parameters import ModelName, Version
from service.wire.json_values import parse_object

_MAX_BODY_BYTES = 1 << 16


class IndexedVersion(BaseModel):
    """One version of a model in the repository."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    version: str
    state: LoadState
    reason: str


class Loaded(BaseModel):
    """The versions that answer now."""

    name: str
    versions: list[str]


class Unloaded(BaseModel):
    """The model no longer answers."""

    name: str


class Pruning(BaseModel):
    """What to keep."""

    model_config = ConfigDict(extra="forbid")

    keep: int = Field(ge=1, description="how many of the newest versions, besides those that are needed")


class Pruned(BaseModel):
    """What is gone."""

    name: str
    deleted: list[str]


def router(catalog: Catalog, rollouts: Rollouts) -> APIRouter:
    """Index, load and unload. Models are named, never located: no path or URL of a request is ever opened."""
    routes = api_router("repository")

    @routes.post(
        "/v2/repository/index",
        summary="Which versions are there, and are they loaded?",
        dependencies=[PUBLIC],
        responses=error_responses(400),
        openapi_extra=_optional(
            {"type": "object", "properties": {"ready": {"type": "boolean", "description": "only those that answer"}}}
        ),
    )
    async def index(request: Request) -> list[IndexedVersion]:
        only_ready = (await _options(request)).get("ready", False)
        if not isinstance(only_ready, bool):
            raise InvalidInput("must be true or false", "ready")
        return [
            IndexedVersion(name=entry.name, version=str(entry.version), state=entry.state, reason=entry.reason)
            for entry in await asyncio.to_thread(catalog.index)
            if entry.state == "READY" or not only_ready
        ]

    @routes.post(
        "/v2/repository/models/{model}/load",
        summary="Bring a model up to date with the repository",
        dependencies=[ADMIN],
        responses=error_responses(400, 401, 403, 404, 503),
        openapi_extra=_optional({"type": "object"}),
    )
    async def load(model: ModelName, request: Request) -> Loaded:
        options = await _options(request)
        if options.get("parameters"):
            raise InvalidInput("configurations and files cannot be sent: publish a bundle instead", "parameters")
        await asyncio.to_thread(catalog.load, model)
        return Loaded(name=model, versions=[str(version) for version in catalog.versions(model)])

    @routes.post(
        "/v2/repository/models/{model}/unload",
        summary="Stop serving a model",
        dependencies=[ADMIN],
        responses=error_responses(400, 401, 403, 404),
        openapi_extra=_optional({"type": "object"}),
    )
    async def unload(model: ModelName, request: Request) -> Unloaded:
        await _options(request)
        await asyncio.to_thread(catalog.unload, model)
        return Unloaded(name=model)

    @routes.post(
        "/v2/repository/models/{model}/versions/{version}/load",
        summary="Load a version, and keep it loaded however old it gets",
        dependencies=[ADMIN],
        responses=error_responses(400, 401, 403, 404, 503),
    )
    async def load_version(model: ModelName, version: Version) -> Loaded:
        await asyncio.to_thread(rollouts.keep_loaded, model, version)
        return Loaded(name=model, versions=[str(version) for version in catalog.versions(model)])

    @routes.post(
        "/v2/repository/models/{model}/versions/{version}/unload",
        summary="Unload a version, and keep it out however new it is",
        dependencies=[ADMIN],
        responses=error_responses(400, 401, 403, 404, 503),
    )
    async def unload_version(model: ModelName, version: Version) -> Loaded:
        await asyncio.to_thread(rollouts.leave_out, model, version)
        return Loaded(name=model, versions=[str(version) for version in catalog.versions(model)])

    @routes.post(
        "/v2/repository/models/{model}/prune",
        summary="Delete old versions that nothing needs",
        dependencies=[ADMIN],
        responses=error_responses(400, 401, 403, 404, 503),
    )
    async def prune(
        model: ModelName, pruning: Annotated[Pruning, Body(openapi_examples={"five": {"value": {"keep": 5}}})]
    ) -> Pruned:
        deleted = await asyncio.to_thread(rollouts.prune, model, pruning.keep)
        return Pruned(name=model, deleted=[str(version) for version in deleted])

    return routes


async def _options(request: Request) -> dict[str, Any]:
    # Triton's client sends no body and no content type here.
    body = await read_body(request.scope, request.receive, _MAX_BODY_BYTES)
    return parse_object(body) if body else {}


def _optional(schema: dict[str, Any]) -> dict[str, Any]:
    description = json_body(schema, {"nothing": {"value": {}}})
    description["requestBody"]["required"] = False
    return description
