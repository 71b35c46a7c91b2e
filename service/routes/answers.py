"""What the routes' descriptions share."""

from http import HTTPStatus
from typing import Any

from fastapi.openapi.models import Example
from pydantic import BaseModel, Field

EXAMPLE_MODEL = "mlp"
EXAMPLE_LAYER = "hidden.0.norm"


class Error(BaseModel):
    """Every answer that is not a success."""

    error: str = Field(description="what is wrong, and where", examples=["inputs[0].shape: 'input' takes [-1, 784]"])


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, for its description."""
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
