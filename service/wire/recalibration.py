"""Requests for a version made from rows: rows as in a V2 inference request, or how many rows to collect."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models import capabilities
from models.datatypes import Array
from models.errors import InvalidInput
from models.manifest import Capability, Manifest, TensorSpec
from models.quantization.limits import MAX_ROWS, MIN_ROWS, TOLERANCE
from models.recalibration.limits import (
    MAX_REFERENCE_ROWS,
    MAX_ROWS_TO_ESTIMATE,
    MIN_REFERENCE_ROWS,
    MIN_ROWS_TO_ESTIMATE,
    MIN_ROWS_TO_PUBLISH,
)
from models.validation import describe, field_of
from service.wire import v2_binary, v2_request
from service.wire.json_object import require_integer, require_known
from service.wire.json_tensors import parse_request

JobKind = Literal["recalibration", "reference", "quantization"]
"""What the rows are for."""

LABELS = "labels"
"""Name of the input that holds the classes of the rows."""

_FIELDS = ("inputs", "collect", "parameters", "id", "outputs")


class JobParameters(BaseModel, defer_build=True):
    """How to collect rows and to publish.

    Attributes:
        kind: of the job.
        min_rows, max_rows: how many rows may be collected.
        min_rows_to_publish: fewer are never published, unless `force` is set.
        has_labels: whether the rows may have labels.
        capability: that the version must have.
        needs_rows: whether there is nothing to do without rows in the request or collected ones.
    """

    kind: ClassVar[JobKind]
    min_rows: ClassVar[int]
    max_rows: ClassVar[int]
    min_rows_to_publish: ClassVar[int] = 0
    has_labels: ClassVar[bool] = False
    capability: ClassVar[Capability | None] = None
    needs_rows: ClassVar[bool] = True

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    force: bool = Field(False, description="Publish although a gate does not pass.")
    spread: int = Field(
        4, ge=1, le=64, description="How many rows of the traffic to draw from, as a multiple of `collect`."
    )
    max_share: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Largest share of the collected rows that one client may send. If absent: 0.25 with API keys, else "
        "1, since clients behind a proxy have one address.",
    )
    timeout_seconds: float = Field(3600, gt=0, le=7 * 86400, description="How long to collect before giving up.")

    @classmethod
    def require_capability(cls, manifest: Manifest) -> None:
        """Check that jobs of this kind can start from a version.

        Raises:
            InvalidInput: it does not have the capability; the message says why.
        """
        if cls.capability is not None:
            capabilities.require(manifest, cls.capability)


class ReferenceParameters(JobParameters):
    """How to collect rows and to publish."""

    kind = "reference"
    capability = "reference"
    min_rows = MIN_REFERENCE_ROWS
    max_rows = MAX_REFERENCE_ROWS


class RecalibrationParameters(JobParameters):
    """How to re-calibrate."""

    kind = "recalibration"
    capability = "recalibration"
    min_rows = MIN_ROWS_TO_ESTIMATE
    max_rows = MAX_ROWS_TO_ESTIMATE
    min_rows_to_publish = MIN_ROWS_TO_PUBLISH
    has_labels = True

    prior: float | None = Field(
        None,
        ge=0,
        le=1e9,
        description="Rows that the parent's statistics count for. If absent: estimated for each layer.",
    )
    only_moved: bool = Field(
        False,
        description="Estimate from the rows that have moved alone, where the others are as the held-out rows: for a "
        "version that answers the rows of its domain. Refused where they cannot be told apart.",
    )
    answered_by: int | None = Field(
        None,
        gt=0,
        description="Collect the rows that this version answers, one that was re-calibrated from the version to start "
        "from, and estimate its accuracy on them as well. If absent: those that the version to start from answers.",
    )
    require_gain: bool = Field(
        False,
        description="Publish only if the interval of the new version's estimated accuracy is above the estimate of the "
        "version that has answered the rows.",
    )


class QuantizationParameters(JobParameters):
    """How to quantise."""

    kind = "quantization"
    min_rows = MIN_ROWS
    max_rows = MAX_ROWS
    has_labels = True
    needs_rows = False

    tolerance: float = Field(TOLERANCE, ge=0, le=100, description="Points of accuracy that may be lost.")
    data_free: bool = Field(
        False, description="Take the ranges from the beta and gamma of the batch-normalisation layers, not from rows."
    )


@dataclass(frozen=True)
class RecalibrationRequest:
    """A validated request.

    Attributes:
        rows: for every input of the model, shape (n, ...); None if they are to be collected, empty where the held-out
            rows of the version are to be used.
        labels: a class for each row, -1 where it is not known, shape (n,).
        collect: how many rows to collect; 0 if they were sent.
        parameters: how to collect and to publish, by the kind of job.
    """

    rows: Mapping[str, Array] | None
    labels: Array | None
    collect: int
    parameters: JobParameters

    @property
    def prior(self) -> float | None:
        """Rows that the parent's statistics count for; None where each layer estimates them, and for a reference."""
        return self.parameters.prior if isinstance(self.parameters, RecalibrationParameters) else None

    @property
    def require_gain(self) -> bool:
        """Whether a version is published only if its estimated accuracy is better."""
        return isinstance(self.parameters, RecalibrationParameters) and self.parameters.require_gain

    @property
    def answered_by(self) -> int | None:
        """The version whose rows are collected, where it is not the one to start from."""
        return self.parameters.answered_by if isinstance(self.parameters, RecalibrationParameters) else None


def decode(
    body: bytes,
    header_length: str | None,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    parameters: type[JobParameters] = RecalibrationParameters,
) -> RecalibrationRequest:
    """Decode and validate a request.

    Args:
        body: the whole body.
        header_length: value of `Inference-Header-Content-Length`; None if the body is JSON only.
        inputs, outputs: of the model.
        parameters: those of the kind of job.

    Raises:
        InvalidInput: the request is malformed, or its rows do not fit the model; the message names the field.
    """
    header = body if header_length is None else v2_binary.split(body, header_length)[0]
    request = parse_request(header) if header or header_length is None else {}
    _refuse_unknown_fields(request, parameters)
    chosen = _parameters(request.get("parameters", {}), parameters)
    if "collect" in request:
        if "inputs" in request:
            raise InvalidInput("give either 'inputs' or 'collect', not both", "collect")
        collect = require_integer(request["collect"], "collect", parameters.min_rows, parameters.max_rows)
        if collect < chosen.min_rows_to_publish and not chosen.force:
            message = f"got {collect}, expected at least {chosen.min_rows_to_publish}: with fewer nothing is published"
            raise InvalidInput(f"{message}, unless 'parameters.force' is true", "collect")
        return RecalibrationRequest(None, None, collect, chosen)
    if "inputs" not in request and not parameters.needs_rows:
        return RecalibrationRequest({}, None, 0, chosen)
    specs = list(inputs)
    if "inputs" not in request and (request or header_length is None):
        raise InvalidInput("missing; give rows here, or the number of rows to collect in 'collect'", "inputs")
    takes_labels = parameters.has_labels and LABELS not in {spec.name for spec in inputs}
    is_labelled = takes_labels and _names_input(request, LABELS)
    if is_labelled:
        specs.append(TensorSpec(name=LABELS, datatype="INT64", shape=(-1,)))
    rows = dict(v2_request.decode(body, header_length, specs, outputs).inputs)
    labels = rows.pop(LABELS) if is_labelled else None
    return RecalibrationRequest(rows, labels, 0, chosen)


def _refuse_unknown_fields(request: Mapping[str, Any], kind: type[JobParameters]) -> None:
    for name in request:
        if name in kind.model_fields and name not in _FIELDS:
            raise InvalidInput("unknown field, expected in 'parameters'", name)
    require_known(request, _FIELDS)


def _names_input(request: Mapping[str, Any], name: str) -> bool:
    inputs = request.get("inputs")
    return isinstance(inputs, list) and any(
        isinstance(tensor, dict) and tensor.get("name") == name for tensor in inputs
    )


def _parameters(given: object, kind: type[JobParameters]) -> JobParameters:
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = field_of(first)
        raise InvalidInput(describe(first, model=kind), f"parameters.{field}" if field else "parameters") from None
