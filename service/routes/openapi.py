"""Parts of the API's description that the routes share."""

from http import HTTPStatus
from typing import Any

from fastapi.openapi.models import Example
from pydantic import BaseModel, Field


class Error(BaseModel):
    """The body of every response that is not a success."""

    error: str = Field(
        description="what is wrong, where, and what was expected",
        examples=["inputs[0].shape: got [1, 783], model 'mlp' expects [-1, 784]"],
    )


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error responses of a route, for its description."""
    described: dict[int | str, dict[str, Any]] = {
        status: {"model": Error, "description": HTTPStatus(status).phrase} for status in statuses
    }
    # In place of the 422 that FastAPI would describe, in a format of its own.
    return described | {"default": {"model": Error, "description": "Any other error"}}


def example(value: str | float) -> dict[str, Example]:
    """A parameter's example, in the form that the docs page fills in by itself."""
    return {str(value): {"value": value}}


def json_body(schema: dict[str, Any], examples: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Description of a JSON body that the route reads raw, since arrays in typed bodies are many times slower."""
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema, "examples": examples}}}
    }
