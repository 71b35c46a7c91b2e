"""Requests that the docs page offers to try. They run as they are against the starter models."""

from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO
from typing import Any

import numpy as np
from fastapi import APIRouter, Response
from PIL import Image

from service.http.access import PUBLIC

IMAGE = files("service") / "static" / "seven.png"
DIGITS = files("service") / "static" / "digits.png"
"""256 held-out digits of MNIST, 28 x 28, in 16 lines."""


@dataclass(frozen=True)
class Examples:
    """Bodies by name, in the form of OpenAPI.

    Attributes:
        image: a handwritten seven, PNG, 28 x 28, grey.
        infer: V2 requests for the `mlp` starter.
        predict: V1 requests for it, and `classify` the same as examples.
        regress: a request with examples, for no model in particular.
        layer_batch: one row for its normalisation layer.
    """

    image: bytes
    infer: dict[str, dict[str, Any]]
    predict: dict[str, dict[str, Any]]
    classify: dict[str, dict[str, Any]]
    regress: dict[str, dict[str, Any]]
    layer_batch: list[list[float]]


def for_starter() -> Examples:
    """Examples for the starter models."""
    image = IMAGE.read_bytes()
    pixels = np.asarray(Image.open(BytesIO(image)), dtype=np.float64).reshape(-1) / 255
    row = [round(float(pixel), 2) for pixel in pixels]
    tensor = {"name": "input", "datatype": "FP32", "shape": [1, len(row)], "data": row}
    summary = "A handwritten seven, for the model 'mlp'."
    return Examples(
        image=image,
        infer={"seven": {"summary": summary, "value": {"inputs": [tensor]}}},
        predict={"seven": {"summary": summary, "value": {"instances": [row]}}},
        classify={"seven": {"summary": summary, "value": {"examples": [{"input": row}]}}},
        regress={"one": {"summary": "For a model with one number a row.", "value": {"examples": [{"x": 1.0}]}}},
        layer_batch=[[round(float(np.sin(channel)), 2) for channel in range(64)]],
    )


def router(examples: Examples) -> APIRouter:
    """The image of the examples, and the digits that the page sends when it is tried."""
    digits = DIGITS.read_bytes()
    routes = APIRouter(include_in_schema=False, dependencies=[PUBLIC])

    @routes.get("/docs/seven.png")
    async def get_example_image() -> Response:
        return Response(examples.image, media_type="image/png")

    @routes.get("/docs/digits.png")
    async def get_digits() -> Response:
        return Response(digits, media_type="image/png")

    return routes
