"""Inference requests of the Open Inference Protocol (V2) in protobuf: `ModelInferRequest`.

The message is turned into the members of a request in JSON, whose tensors are views of it: from there on both are
validated by the same code.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from models.errors import InvalidInput
from models.manifest import TensorSpec
from service.wire import grpc_contents, protobuf, v2_request
from service.wire.image_reader import ReadImages
from service.wire.protobuf import Field
from service.wire.v2_request import InferRequest

_MODEL_NAME, _MODEL_VERSION, _ID, _PARAMETERS, _INPUTS, _OUTPUTS, _RAW = range(1, 8)
_MAX_RANK = 32
_MAX_VERSION_DIGITS = 18  # 64 bits, as over HTTP


class Head(NamedTuple):
    """Which version a request names.

    Attributes:
        model: name of the model.
        version: None for the version that answers by default.
    """

    model: str
    version: int | None


def read_head(body: bytes) -> Head:
    """Which version a request names.

    Raises:
        InvalidInput: the body is no message, or its version is no number.
    """
    model = version = ""
    for field in protobuf.fields(memoryview(body), "body"):
        if field.number == _MODEL_NAME:
            model = protobuf.text(field, "model_name")
        elif field.number == _MODEL_VERSION:
            version = protobuf.text(field, "model_version")
    return Head(model, parse_version(version, "model_version"))


def read_id(body: bytes) -> str:
    """The id of a request, which may be wrong; empty where it has none, or none can be read."""
    try:
        identities = [field for field in protobuf.fields(memoryview(body), "body") if field.number == _ID]
        return protobuf.text(identities[-1], "id") if identities else ""
    except InvalidInput:
        return ""


def raw_tail(body: bytes) -> int:
    """Bytes of the raw contents that end a valid request; 0 where another field does."""
    last = protobuf.fields(memoryview(body), "body")[-1]
    return len(last.raw) if last.number == _RAW else 0


def parse_version(text: str, place: str) -> int | None:
    """A version of a model; None for an empty text.

    Raises:
        InvalidInput: it is no number of a version.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_VERSION_DIGITS and text[0] != "0"):
        raise InvalidInput(f"got '{text[:40]}', expected an integer of at least 1", place)
    return int(text)


def decode(
    body: bytes,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    *,
    finite: bool = True,
    batched: bool = True,
    read_images: ReadImages | None = None,
) -> InferRequest:
    """Decode and validate a request. Outputs are binary unless the parameter `binary_data_output` is false.

    Args:
        body: the message.
        inputs, outputs: of the model.
        finite: whether NaN and infinities are refused.
        batched: whether the first axis of every tensor is the batch.
        read_images: reads BYTES that are sent to an input of numbers; None if they are refused.

    Raises:
        InvalidInput: anything about the request is wrong; the field says what.
    """
    by_number: dict[int, list[Field]] = {}
    for field in protobuf.fields(memoryview(body), "body"):
        by_number.setdefault(field.number, []).append(field)
    raw = [
        protobuf.message(field, f"raw_input_contents[{index}]") for index, field in enumerate(by_number.get(_RAW, ()))
    ]
    given = by_number.get(_INPUTS, [])
    if raw and len(raw) != len(given):
        raise InvalidInput(f"got {len(raw)}, expected one for each of the {len(given)} inputs", "raw_input_contents")
    parameters = _parameters(by_number.get(_PARAMETERS, []), "parameters")
    request: dict[str, Any] = {
        "parameters": {"binary_data_output": True, **parameters},
        "inputs": [
            _input(field, raw[index] if raw else None, f"inputs[{index}]", finite=finite, as_text=read_images is None)
            for index, field in enumerate(given)
        ],
        "outputs": [_output(field, f"outputs[{index}]") for index, field in enumerate(by_number.get(_OUTPUTS, ()))],
    }
    if (identities := by_number.get(_ID)) and (identity := protobuf.text(identities[-1], "id")):
        request["id"] = identity
    together = raw[0] if len(raw) == 1 else memoryview(b"".join(raw))
    return v2_request.interpret(
        request, together, inputs, outputs, finite=finite, batched=batched, read_images=read_images
    )


def _input(field: Field, raw: memoryview | None, place: str, *, finite: bool, as_text: bool) -> dict[str, Any]:
    name = datatype = ""
    contents = memoryview(b"")
    repeated: dict[int, list[Field]] = {}
    for member in protobuf.fields(protobuf.message(field, place), place):
        if member.number == 1:
            name = protobuf.text(member, f"{place}.name")
        elif member.number == 2:
            datatype = protobuf.text(member, f"{place}.datatype")
        elif member.number == 5:
            contents = protobuf.message(member, f"{place}.contents")
        else:
            repeated.setdefault(member.number, []).append(member)
    shape = protobuf.repeated_signed(repeated.get(3, ()), f"{place}.shape", _MAX_RANK)
    if any(size < 0 for size in shape):
        raise InvalidInput(f"got {shape}, expected sizes of at least 0", f"{place}.shape")
    parameters = _parameters(repeated.get(4, ()), f"{place}.parameters")
    tensor = {"name": name, "datatype": datatype, "shape": shape, "parameters": parameters}
    if raw is not None:
        if contents:
            raise InvalidInput("expected either contents or raw_input_contents, got both", f"{place}.contents")
        parameters["binary_data_size"] = len(raw)
    elif "shared_memory_region" not in parameters:  # which the validation refuses
        parameters.pop("binary_data_size", None)
        tensor["data"] = grpc_contents.decode(
            contents, datatype, shape, f"{place}.contents", finite=finite, as_text=as_text
        )
    return tensor


def _output(field: Field, place: str) -> dict[str, Any]:
    name = ""
    parameters: list[Field] = []
    for member in protobuf.fields(protobuf.message(field, place), place):
        if member.number == 1:
            name = protobuf.text(member, f"{place}.name")
        elif member.number == 2:
            parameters.append(member)
    return {"name": name, "parameters": _parameters(parameters, f"{place}.parameters")}


def _parameters(entries: Sequence[Field], place: str) -> dict[str, Any]:
    """A map of names to `InferParameter`."""
    parameters: dict[str, Any] = {}
    for entry in entries:
        name, value = "", None
        for member in protobuf.fields(protobuf.message(entry, place), place):
            if member.number == 1:
                name = protobuf.text(member, place)
            elif member.number == 2:
                value = member
        parameters[name] = _parameter(value, f"{place}.{name[:40]}")
    return parameters


def _parameter(field: Field | None, place: str) -> bool | int | float | str:
    value: bool | int | float | str | None = None
    for choice in () if field is None else protobuf.fields(protobuf.message(field, place), place):
        if choice.number == 1:
            value = bool(protobuf.number(choice, place))
        elif choice.number == 2:
            value = protobuf.signed(protobuf.number(choice, place))
        elif choice.number == 3:
            value = protobuf.text(choice, place)
        elif choice.number == 4:
            value = protobuf.double(choice, place)
        elif choice.number == 5:
            value = protobuf.number(choice, place)
    if value is None:
        raise InvalidInput("has no value", place)
    return value
