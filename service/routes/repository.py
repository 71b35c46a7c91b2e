"""The model repository extension: what is there, load, unload."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from models.errors import InvalidInput
from service.access import ADMIN, PUBLIC
from service.bodies import read_body
from service.catalog import Catalog, State
from service.routes.answers import errors, json_body
from service.routes.models import ModelName
from service.wire.json_values import parse_object

_MAX_BODY_BYTES = 1 << 16


class IndexedVersion(BaseModel):
    """One version of a model in the repository."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    version: str
    state: State
    reason: str


class Loaded(BaseModel):
    """The versions that answer now."""

    name: str
    versions: list[str]


class Unloaded(BaseModel):
    """The model no longer answers."""

    name: str


def router(catalog: Catalog) -> APIRouter:
    """Index, load and unload. Models are named, never located: no path or URL of a request is ever opened."""
    routes = APIRouter(tags=["repository"])

    @routes.post(
        "/v2/repository/index",
        summary="Which versions are there, and are they loaded?",
        dependencies=[PUBLIC],
        responses=errors(400),
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
        responses=errors(400, 401, 403, 404, 503),
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
        responses=errors(400, 401, 403, 404),
        openapi_extra=_optional({"type": "object"}),
    )
    async def unload(model: ModelName, request: Request) -> Unloaded:
        await _options(request)
        await asyncio.to_thread(catalog.unload, model)
        return Unloaded(name=model)

    return routes


async def _options(request: Request) -> dict[str, Any]:
    # Triton's client sends no body and no content type here.
    body = await read_body(request.scope, request.receive, _MAX_BODY_BYTES)
    return parse_object(body) if body else {}


def _optional(schema: dict[str, Any]) -> dict[str, Any]:
    description = json_body(schema, {"nothing": {"value": {}}})
    description["requestBody"]["required"] = False
    return description
