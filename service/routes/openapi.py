"""Parts of the API's description that the routes share."""

from http import HTTPStatus
from operator import attrgetter
from typing import Any, Literal

from fastapi import APIRouter, Depends
from fastapi.openapi.models import Example
from fastapi.params import Depends as Dependency
from pydantic import BaseModel, Field

from service.http.typed_bodies import TypedBodyRoute
from service.routes.queries import require_known

Tag = Literal["predict", "models", "layers", "watch", "recalibration", "rollout", "repository", "health"]

TAGS: list[dict[str, str]] = [
    {"name": "predict", "description": "Predictions from tensors, rows, images and texts; images from generators."},
    {"name": "models", "description": "What each model takes and returns, where it came from, and how it is served."},
    {"name": "layers", "description": "What normalisation layers remember from training; batch normalisation itself."},
    {"name": "watch", "description": "What normalisation layers see in production, and whether it has moved."},
    {"name": "recalibration", "description": "New versions, with statistics estimated from unlabelled rows."},
    {"name": "rollout", "description": "Which version answers: default, canary, shadow, domains; promote."},
    {"name": "repository", "description": "The stored versions of each model: load, unload, delete."},
    {"name": "health", "description": "Liveness, readiness, server metadata, metrics."},
]
"""In the order of the docs page."""


class Error(BaseModel):
    """The body of every response that is not a success."""

    error: str = Field(
        description="What is wrong, where, and what was expected.",
        examples=["inputs[0].shape: got [1, 783], model 'mlp' expects [-1, 784]"],
    )


def api_router(tag: Tag, access: Dependency | None = None) -> APIRouter:
    """A router whose operations have a tag, their endpoints' names as ids, and no other query parameters than theirs.

    Args:
        tag: groups the operations on the docs page.
        access: of all routes; None where each one declares its own.
    """
    dependencies = [Depends(require_known), *([] if access is None else [access])]
    return APIRouter(
        tags=[tag],
        dependencies=dependencies,
        generate_unique_id_function=attrgetter("name"),
        route_class=TypedBodyRoute,
    )


class Pending(BaseModel):
    """A change that is stored, but that some replicas have not applied yet."""

    message: str
    pending: list[str] = Field(description="Ids of these replicas. Each goes on trying.")


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error responses of a route, for its description. `add_schemas` adds their schema."""
    described: dict[int | str, dict[str, Any]] = {
        status: _reference(Error, HTTPStatus(status).phrase) for status in statuses
    }
    # In place of the 422 that FastAPI would describe, in a format of its own.
    return described | {"default": _reference(Error, "Any other error")}


def change_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The responses of a route that changes what all replicas serve, besides its success."""
    return error_responses(*statuses) | {202: _reference(Pending, "Not all replicas have applied it yet")}


def add_schemas(described: dict[str, Any]) -> None:
    """Add the schemas that routes refer to by name to the description of the API."""
    referred = {model.__name__: model.model_json_schema() for model in (Error, Pending)}
    described["components"]["schemas"] = dict(sorted((described["components"]["schemas"] | referred).items()))


def _reference(model: type[BaseModel], description: str) -> dict[str, Any]:
    """A response that refers to a schema: FastAPI would build a validator for it in every route, half of its start."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def example(value: str | float) -> dict[str, Example]:
    """A parameter's example, in the form that the docs page fills in by itself."""
    return {str(value): {"value": value}}


def json_body(schema: dict[str, Any], examples: dict[str, dict[str, Any]], *, required: bool = True) -> dict[str, Any]:
    """Description of a JSON body that the route reads raw, since arrays in typed bodies are many times slower."""
    content = {"application/json": {"schema": schema, "examples": examples}}
    return {"requestBody": {"required": required, "content": content}}


def json_response(description: str, schema: dict[str, Any], shown: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """Description of a successful response that the route writes as bytes.

    Args:
        description: of the response.
        schema: of its body.
        shown: an example of its body.
    """
    return {200: {"description": description, "content": {"application/json": {"schema": schema, "example": shown}}}}
