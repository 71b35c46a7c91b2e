"""Path parameters that several routes have."""

from typing import Annotated

from annotated_types import Ge, Lt
from fastapi import Path
from pydantic import AfterValidator, BeforeValidator

from models.validation import shorten
from service.routes.openapi import example

ModelName = Annotated[str, Path(description="Name of a model.", openapi_examples=example("mlp"))]

LayerName = Annotated[
    str, Path(description="Name of a normalisation layer of the model.", openapi_examples=example("hidden.0.norm"))
]

VersionLabel = Annotated[
    str, Path(description="`stable`, `canary`, or a label of the rollout.", openapi_examples=example("stable"))
]


def _require_digits(value: str) -> str:
    # Left to itself, a path parameter takes "1.0" for 1.
    if not (value.isascii() and value.isdecimal()):
        raise ValueError(f"got {shorten(repr(value))}, expected a whole number")
    return value


VersionNumber = Annotated[int, Ge(1), Lt(10**18)]

Version = Annotated[
    VersionNumber,
    BeforeValidator(_require_digits),
    Path(description="Version of the model.", openapi_examples=example(1)),
]

VersionOrZero = Annotated[
    int,
    Ge(0),
    Lt(10**18),
    BeforeValidator(_require_digits),
    AfterValidator(lambda version: version or None),
    Path(description="Version of the model; 0 is the default version.", openapi_examples=example(1)),
]
"""As clients of OpenVINO Model Server write versions in V1: None for 0."""
