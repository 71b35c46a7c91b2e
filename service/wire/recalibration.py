"""Requests for a re-calibration: rows as in a V2 inference request, or how many are to be collected."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import InvalidInput
from models.manifest import TensorSpec
from service.wire import v2_binary, v2_json
from service.wire.json_tensors import parse_request

Array = NDArray[Any]

LABELS = "labels"
MAX_ROWS = 4096
"""As `models.recalibration.estimate` has it, which the serving process does not import."""


class Parameters(BaseModel):
    """How to re-calibrate."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    prior: float | None = Field(None, ge=0, le=1e9, description="rows that the parent's statistics count for")
    force: bool = Field(False, description="publish although a gate does not pass")
    spread: int = Field(
        4, ge=1, le=64, description="rows are drawn at random out of so many times as many that come by"
    )
    max_share: float | None = Field(
        None,
        gt=0,
        le=1,
        description="of the rows that one caller may have sent; a half with API keys, all without, since callers are "
        "then known by address only",
    )
    patience_seconds: float = Field(3600, gt=0, le=7 * 86400, description="how long to wait for rows")


@dataclass(frozen=True)
class RecalibrationRequest:
    """A checked request.

    Attributes:
        rows: for every input of the model, shape (n, ...); None where they are to be collected.
        labels: a class for each row, -1 where it is not known, shape (n,).
        collect: how many rows are to be collected; 0 where they were sent.
        parameters: how.
    """

    rows: Mapping[str, Array] | None
    labels: Array | None
    collect: int
    parameters: Parameters


def decode(
    body: bytes, header_length: str | None, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> RecalibrationRequest:
    """Read a request.

    Args:
        body: the whole body.
        header_length: value of `Inference-Header-Content-Length`, None where the body is JSON throughout.
        inputs, outputs: of the model.

    Raises:
        InvalidInput: anything about it is wrong; the field says what.
    """
    header = body if header_length is None else v2_binary.split(body, header_length)[0]
    request = parse_request(header) if header or header_length is None else {}
    parameters = _parameters(request.get("parameters", {}))
    if "collect" in request:
        if "inputs" in request:
            raise InvalidInput("send rows, or have them collected", "collect")
        return RecalibrationRequest(None, None, _count(request["collect"]), parameters)
    given = request.get("inputs")
    labelled = isinstance(given, list) and any(
        isinstance(tensor, dict) and tensor.get("name") == LABELS for tensor in given
    )
    specs = list(inputs)
    if labelled and LABELS not in {spec.name for spec in inputs}:
        specs.append(TensorSpec(name=LABELS, datatype="INT64", shape=(-1,)))
    if any(spec.shape[0] != -1 or spec.datatype == "BYTES" for spec in inputs):
        raise InvalidInput("the model's inputs must be numbers, with a free batch axis", "inputs")
    rows = dict(v2_json.decode(body, header_length, specs, outputs).inputs)
    labels = rows.pop(LABELS) if len(specs) > len(inputs) else None
    return RecalibrationRequest(rows, labels, 0, parameters)


def _count(given: object) -> int:
    if type(given) is not int or not 2 <= given <= MAX_ROWS:
        raise InvalidInput(f"must be a whole number from 2 to {MAX_ROWS}", "collect")
    return given


def _parameters(given: object) -> Parameters:
    try:
        return Parameters.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InvalidInput(first["msg"], ".".join(("parameters", *map(str, first["loc"])))) from None


def rows_in(rows: Mapping[str, Array]) -> int:
    """How many there are."""
    return len(next(iter(rows.values()))) if rows else 0


def joined(rows: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Single rows, one after the other."""
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
