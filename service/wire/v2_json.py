"""Open Inference Protocol (V2) inference requests and responses.

https://github.com/kserve/open-inference-protocol: specification/protocol/inference_rest.md
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from models.datatypes import from_numpy
from models.errors import InvalidInput
from models.manifest import TensorSpec
from service.wire import classification, v2_binary
from service.wire.json_tensors import parse_request
from service.wire.json_values import match_shape, require_finite, to_array, writable

Array = NDArray[Any]


DRIFT_SCORE = "drift_score"
DRIFT_LAYER = "drift_layer"
"""Outputs that a request gets beside the model's own, where its parameter `layer_statistics` asks for them."""

_LARGEST_PARAMETER = 2**32


@dataclass(frozen=True)
class RequestedOutput:
    """An output that the caller wants, as JSON numbers or as raw bytes behind the JSON part.

    Attributes:
        classes: how many of the best classes are wanted instead of the tensor itself; 0 for the tensor.
    """

    name: str
    binary: bool = False
    classes: int = 0


class InferRequest(NamedTuple):
    """A checked request: every input of the model, in its type and a shape that it takes.

    Attributes:
        inputs: by name.
        outputs: those wanted, in the order of the answer.
        id: repeated in the answer.
        priority: 1 is the highest, 0 takes no part in the order.
        timeout: seconds that the request may wait for its run.
        layer_statistics: whether `DRIFT_SCORE` and `DRIFT_LAYER` are among the outputs.
    """

    inputs: Mapping[str, Array]
    outputs: Sequence[RequestedOutput]
    id: str | None = None
    priority: int = 0
    timeout: float | None = None
    layer_statistics: bool = False


def decode(
    body: bytes,
    header_length: str | None,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    *,
    finite: bool = True,
) -> InferRequest:
    """Read a request for a model with these inputs and outputs.

    Args:
        body: the whole body.
        header_length: value of `Inference-Header-Content-Length`, None where the body is JSON throughout.
        inputs, outputs: what the model takes and gives.
        finite: whether NaN and infinities are refused.

    Raises:
        InvalidInput: anything about the request is wrong; the field says what.
    """
    header, raw = (body, memoryview(b"")) if header_length is None else v2_binary.split(body, header_length)
    if header_length is not None and not header:
        return _raw_request(raw, inputs, outputs, finite=finite)
    request = parse_request(header)
    arrays = _inputs(request.get("inputs"), raw, inputs, finite=finite)
    identity = request.get("id")
    if identity is not None and not isinstance(identity, str):
        raise InvalidInput("must be a string", "id")
    parameters = _parameters(request, "parameters")
    binary = parameters.get("binary_data_output", False) is True
    microseconds = _whole_number(parameters, "timeout")
    wanted = _requested_outputs(request.get("outputs"), outputs, binary=binary)
    layer_statistics = parameters.get("layer_statistics", False)
    if layer_statistics is not False:
        if layer_statistics is not True:
            raise InvalidInput("must be true or false", "parameters.layer_statistics")
        wanted += RequestedOutput(DRIFT_SCORE, binary), RequestedOutput(DRIFT_LAYER, binary)
    return InferRequest(
        arrays,
        wanted,
        identity,
        priority=_whole_number(parameters, "priority"),
        timeout=microseconds / 1e6 if microseconds else None,
        layer_statistics=layer_statistics,
    )


def encode(
    model: str,
    version: int,
    request: InferRequest,
    outputs: Mapping[str, Array],
    labels: Sequence[str] | None = None,
) -> tuple[bytes, int | None]:
    """Write the response.

    Args:
        model, version: what has answered.
        request: says what is wanted, and how.
        outputs: by name.
        labels: names of the classes.

    Returns:
        The body, and the length of its JSON part when raw tensors follow it. NaN and infinities are `null` in JSON, and
        exact in raw tensors.
    """
    described: list[dict[str, Any]] = []
    raw: list[bytes] = []
    for wanted in request.outputs:
        array = outputs[wanted.name]
        if wanted.classes:
            array = classification.best(array, wanted.classes, labels)
        entry: dict[str, Any] = {"name": wanted.name, "datatype": from_numpy(array.dtype), "shape": array.shape}
        if wanted.binary:
            raw.append(v2_binary.write(array))
            entry["parameters"] = {"binary_data_size": len(raw[-1])}
        else:
            entry["data"] = writable(array.reshape(-1))
        described.append(entry)
    response: dict[str, Any] = {"model_name": model, "model_version": str(version)}
    if request.id is not None:
        response["id"] = request.id
    response["outputs"] = described
    header = orjson.dumps(response, option=orjson.OPT_SERIALIZE_NUMPY)
    tail = b"".join(raw)
    return (header + tail, len(header)) if tail else (header, None)


def check_tensor(array_shape: Sequence[int], datatype: str, spec: TensorSpec, field: str) -> None:
    """Whether a tensor of this type and shape is one that the model takes.

    Raises:
        InvalidInput: it is not.
    """
    if datatype != spec.datatype:
        raise InvalidInput(f"'{spec.name}' takes {spec.datatype}, got {datatype}", f"{field}.datatype")
    fits = len(array_shape) == len(spec.shape) and all(
        want in (-1, got) for want, got in zip(spec.shape, array_shape, strict=True)
    )
    if not fits:
        raise InvalidInput(
            f"'{spec.name}' takes {list(spec.shape)} (-1 is any size), got {list(array_shape)}", f"{field}.shape"
        )


def _inputs(given: Any, raw: memoryview, specs: Sequence[TensorSpec], *, finite: bool) -> dict[str, Array]:
    if not isinstance(given, list) or not given:
        raise InvalidInput("must be a list with the model's inputs", "inputs")
    by_name = {spec.name: spec for spec in specs}
    arrays: dict[str, Array] = {}
    offset = 0
    for position, tensor in enumerate(given):
        field = f"inputs[{position}]"
        if not isinstance(tensor, dict):
            raise InvalidInput("must be an object", field)
        spec = _spec_of(tensor, by_name, field)
        if spec.name in arrays:
            raise InvalidInput(f"'{spec.name}' is given twice", f"{field}.name")
        shape = _shape(tensor, field)
        check_tensor(shape, _string(tensor, "datatype", field), spec, field)
        size = _binary_size(tensor, field)
        if size is None:
            values = to_array(tensor["data"], spec.datatype, f"{field}.data", finite=finite)
            array = match_shape(values, shape, f"{field}.data")
        else:
            if offset + size > len(raw):
                missing = offset + size - len(raw)
                raise InvalidInput(
                    f"the body ends {missing} bytes before the end of '{spec.name}'", f"{field}.parameters"
                )
            array = v2_binary.read(raw[offset : offset + size], spec.datatype, shape, f"{field}.data")
            if finite:
                require_finite(array, f"{field}.data")
            offset += size
        arrays[spec.name] = array
    if missing_names := [spec.name for spec in specs if spec.name not in arrays]:
        raise InvalidInput(f"'{missing_names[0]}' is missing", "inputs")
    if offset < len(raw):
        raise InvalidInput(f"{len(raw) - offset} bytes follow the last input", "body")
    require_equal_rows(arrays, specs)
    return arrays


def require_equal_rows(arrays: Mapping[str, Array], specs: Sequence[TensorSpec]) -> None:
    """Whether all inputs with a free batch axis have the same number of rows.

    Raises:
        InvalidInput: they have not.
    """
    rows = {spec.name: arrays[spec.name].shape[0] for spec in specs if spec.shape[0] == -1}
    if len(set(rows.values())) > 1:
        raise InvalidInput(f"must have the same number of rows, got {rows}", "inputs")


def _raw_request(
    raw: memoryview, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], *, finite: bool
) -> InferRequest:
    """The whole body is the one input; its free axis follows from the size. Of BYTES it is the one element."""
    if len(inputs) != 1:
        raise InvalidInput(f"a raw body is for models with one input, this one has {len(inputs)}", "body")
    spec = inputs[0]
    wanted = tuple(RequestedOutput(output.name, binary=True) for output in outputs)
    if spec.datatype == "BYTES":
        if any(size not in (-1, 1) for size in spec.shape):
            raise InvalidInput(f"a raw body is one element, '{spec.name}' takes {list(spec.shape)}", "body")
        element = np.empty([1] * len(spec.shape), dtype=object)
        element.fill(v2_binary.text(raw, "body"))
        return InferRequest({spec.name: element}, wanted)
    if spec.shape.count(-1) > 1:
        raise InvalidInput(f"a raw body leaves one free size at most, '{spec.name}' has {list(spec.shape)}", "body")
    known = v2_binary.size_of(spec.datatype, [size for size in spec.shape if size != -1])
    shape = [len(raw) // max(known, 1) if size == -1 else size for size in spec.shape]
    array = v2_binary.read(raw, spec.datatype, shape, "body")
    if finite:
        require_finite(array, "body")
    return InferRequest({spec.name: array}, wanted)


def _spec_of(tensor: dict[str, Any], by_name: Mapping[str, TensorSpec], field: str) -> TensorSpec:
    name = _string(tensor, "name", field)
    if name not in by_name:
        raise InvalidInput(f"the model has no input '{name}', it takes {sorted(by_name)}", f"{field}.name")
    return by_name[name]


def _string(tensor: dict[str, Any], key: str, field: str) -> str:
    value = tensor.get(key)
    if not isinstance(value, str):
        raise InvalidInput("must be a string", f"{field}.{key}")
    return value


def _shape(tensor: dict[str, Any], field: str) -> list[int]:
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise InvalidInput("must be a list of whole numbers, none negative", f"{field}.shape")
    return shape


def _parameters(holder: dict[str, Any], field: str) -> dict[str, Any]:
    parameters = holder.get("parameters", {})
    if not isinstance(parameters, dict):
        raise InvalidInput("must be an object", field)
    return parameters


def _whole_number(parameters: dict[str, Any], name: str, field: str = "") -> int:
    value = parameters.get(name, 0)
    if type(value) is not int or not 0 <= value < _LARGEST_PARAMETER:
        where = f"{field}.parameters.{name}" if field else f"parameters.{name}"
        raise InvalidInput("must be a whole number, not negative", where)
    return value


def _binary_size(tensor: dict[str, Any], field: str) -> int | None:
    """Bytes that the tensor has behind the JSON part, None where its data is in the JSON."""
    parameters = _parameters(tensor, f"{field}.parameters")
    if "shared_memory_region" in parameters:
        raise InvalidInput("shared memory is not offered", f"{field}.parameters.shared_memory_region")
    size = parameters.get("binary_data_size")
    # KServe's client sends `"data": null` beside a binary tensor without elements.
    if (tensor.get("data") is not None) == (size is not None):
        raise InvalidInput("needs either 'data' or the parameter 'binary_data_size'", field)
    if size is not None and (type(size) is not int or size < 0):
        raise InvalidInput("must be a whole number, not negative", f"{field}.parameters.binary_data_size")
    return size


def _requested_outputs(given: Any, specs: Sequence[TensorSpec], *, binary: bool) -> tuple[RequestedOutput, ...]:
    datatypes = {spec.name: spec.datatype for spec in specs}
    names = list(datatypes)
    if given is None or given == []:
        return tuple(RequestedOutput(name, binary) for name in names)
    if not isinstance(given, list):
        raise InvalidInput("must be a list", "outputs")
    wanted: list[RequestedOutput] = []
    for position, output in enumerate(given):
        field = f"outputs[{position}]"
        if not isinstance(output, dict):
            raise InvalidInput("must be an object", field)
        name = _string(output, "name", field)
        if name not in names:
            raise InvalidInput(f"the model has no output '{name}', it gives {names}", f"{field}.name")
        if any(name == other.name for other in wanted):
            raise InvalidInput(f"'{name}' is asked for twice", f"{field}.name")
        parameters = _parameters(output, f"{field}.parameters")
        classes = _whole_number(parameters, "classification", field)
        if "classification" in parameters and classes == 0:
            raise InvalidInput("must be at least 1", f"{field}.parameters.classification")
        if classes and datatypes[name] == "BYTES":
            raise InvalidInput(f"'{name}' holds text, which has no order", f"{field}.parameters.classification")
        wanted.append(RequestedOutput(name, parameters.get("binary_data", binary) is True, classes))
    return tuple(wanted)
