"""Inference requests of the Open Inference Protocol (V2).

https://github.com/kserve/open-inference-protocol: specification/protocol/inference_rest.md
"""

from collections.abc import Mapping, Sequence
from json import JSONDecoder
from typing import Any, NamedTuple

from models.datatypes import Array
from models.errors import InvalidInput
from models.manifest import TensorSpec
from service.wire import v2_binary, v2_inputs
from service.wire.image_reader import ReadImages
from service.wire.json_object import require_boolean, require_integer, require_list, require_object, require_string
from service.wire.json_tensors import parse_request

ROW_VERSIONS = "row_versions"
"""Parameter of the response of a model with domains: the version that has predicted each row, as `join_versions`."""

DRIFT_SCORE = "drift_score"
DRIFT_LAYER = "drift_layer"
"""Outputs that the parameter `layer_statistics` adds to those of the model."""

_MAX_PARAMETER = 2**32 - 1

MAX_DESCRIPTION_BYTES = 1 << 16
"""Of a JSON part that is searched for what comes behind it: what describes tensors is short, and numbers may go on."""

_BINARY_SIZE = '"binary_data_size"'


class RequestedOutput(NamedTuple):
    """An output that the client requests.

    Attributes:
        binary: as bytes behind the JSON part, rather than as numbers in it.
        classes: how many of the best classes to return instead of the tensor; 0 for the tensor.
    """

    name: str
    binary: bool = False
    classes: int = 0


class InferRequest(NamedTuple):
    """A validated request: every input of the model, in its datatype and a shape that it takes.

    Attributes:
        inputs: by name.
        outputs: the requested ones, in the order of the response.
        id: repeated in the response.
        priority: 1 is the highest, 0 the lowest.
        timeout: seconds that the request may wait for its run.
        layer_statistics: whether `DRIFT_SCORE` and `DRIFT_LAYER` are among the outputs.
    """

    inputs: Mapping[str, Array]
    outputs: Sequence[RequestedOutput]
    id: str | None = None
    priority: int = 0
    timeout: float | None = None
    layer_statistics: bool = False


def join_versions(row_versions: Array) -> str:
    """The value of `ROW_VERSIONS`: the version of each row, with commas between them."""
    return ",".join(map(str, row_versions.tolist()))


def decode(
    body: bytes,
    header_length: str | None,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    *,
    finite: bool = True,
    batched: bool = True,
    read_images: ReadImages | None = None,
) -> InferRequest:
    """Decode and validate a request.

    Args:
        body: the whole body.
        header_length: value of `Inference-Header-Content-Length`; None if the body is JSON only.
        inputs, outputs: of the model.
        finite: whether NaN and infinities are refused.
        batched: whether the first axis of every tensor is the batch.
        read_images: reads BYTES that are sent to an input of numbers; None if they are refused.

    Raises:
        InvalidInput: anything about the request is wrong; the field says what.
    """
    header, raw = (body, memoryview(b"")) if header_length is None else v2_binary.split(body, header_length)
    if header_length is not None and not header:
        arrays = v2_inputs.decode_raw(raw, inputs, finite=finite)
        return InferRequest(arrays, tuple(RequestedOutput(spec.name, binary=True) for spec in outputs))
    try:
        request = parse_request(header)
    except InvalidInput as error:
        if header_length is None and _has_bytes_behind(body):
            raise InvalidInput(
                "missing, expected the length of the JSON part, since bytes follow it",
                "Inference-Header-Content-Length",
            ) from error
        raise
    return interpret(request, raw, inputs, outputs, finite=finite, batched=batched, read_images=read_images)


def _has_bytes_behind(body: bytes) -> bool:
    """Whether a body begins with a JSON part that describes a tensor in binary, and goes on."""
    text = body[:MAX_DESCRIPTION_BYTES].decode("latin-1")
    if _BINARY_SIZE not in text:
        return False
    try:
        _, end = JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return False
    return end < len(body)


def interpret(
    request: Mapping[str, Any],
    raw: memoryview,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    *,
    finite: bool = True,
    batched: bool = True,
    read_images: ReadImages | None = None,
) -> InferRequest:
    """Validate a request whose JSON part has been parsed.

    Args:
        request: its members.
        raw: the bytes behind its JSON part.
        inputs, outputs: of the model.
        finite: whether NaN and infinities are refused.
        batched: whether the first axis of every tensor is the batch.
        read_images: reads BYTES that are sent to an input of numbers; None if they are refused.

    Raises:
        InvalidInput: anything about the request is wrong; the field says what.
    """
    arrays = v2_inputs.decode(
        request.get("inputs"), raw, inputs, finite=finite, batched=batched, read_images=read_images
    )
    identity = request.get("id")
    parameters = require_object(request.get("parameters", {}), "parameters")
    binary = require_boolean(parameters.get("binary_data_output", False), "parameters.binary_data_output")
    microseconds = require_integer(parameters.get("timeout", 0), "parameters.timeout", 0, _MAX_PARAMETER)
    requested = _requested_outputs(request.get("outputs"), outputs, binary=binary)
    layer_statistics = require_boolean(parameters.get("layer_statistics", False), "parameters.layer_statistics")
    if layer_statistics:
        requested += RequestedOutput(DRIFT_SCORE, binary), RequestedOutput(DRIFT_LAYER, binary)
    return InferRequest(
        arrays,
        requested,
        None if identity is None else require_string(identity, "id"),
        priority=require_integer(parameters.get("priority", 0), "parameters.priority", 0, _MAX_PARAMETER),
        timeout=microseconds / 1e6 if microseconds else None,
        layer_statistics=layer_statistics,
    )


def _requested_outputs(given: Any, specs: Sequence[TensorSpec], *, binary: bool) -> tuple[RequestedOutput, ...]:
    if given is None or given == []:
        return tuple(RequestedOutput(spec.name, binary) for spec in specs)
    by_name = {spec.name: spec for spec in specs}
    requested: dict[str, RequestedOutput] = {}
    for position, entry in enumerate(require_list(given, "outputs")):
        output = _requested_output(entry, by_name, f"outputs[{position}]", binary=binary)
        if output.name in requested:
            raise InvalidInput(f"got '{output.name}' twice, expected each output once", f"outputs[{position}].name")
        requested[output.name] = output
    return tuple(requested.values())


def _requested_output(entry: Any, by_name: Mapping[str, TensorSpec], field: str, *, binary: bool) -> RequestedOutput:
    output = require_object(entry, field)
    name = require_string(output.get("name"), f"{field}.name")
    if name not in by_name:
        raise InvalidInput(f"got '{name}', the model's outputs are {sorted(by_name)}", f"{field}.name")
    parameters = require_object(output.get("parameters", {}), f"{field}.parameters")
    if "shared_memory_region" in parameters:
        raise InvalidInput(
            "shared memory is not supported: outputs come in the response", f"{field}.parameters.shared_memory_region"
        )
    classes = 0
    if "classification" in parameters:
        place = f"{field}.parameters.classification"
        classes = require_integer(parameters["classification"], place, 1, _MAX_PARAMETER)
        if by_name[name].datatype == "BYTES":
            raise InvalidInput(f"output '{name}' holds text, which has no order: request the tensor itself", place)
    place = f"{field}.parameters.binary_data"
    return RequestedOutput(name, require_boolean(parameters.get("binary_data", binary), place), classes)
