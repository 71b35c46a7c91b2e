"""Predictions in TensorFlow Serving's REST format (V1): rows (`instances`), or columns (`inputs`).

https://www.tensorflow.org/tfx/serving/api_rest
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from models.datatypes import Array, Datatype
from models.errors import InvalidInput
from models.manifest import TensorSpec
from service.wire import json_writer
from service.wire.image_reader import BASE64_MEMBER, File, ReadImages
from service.wire.json_arrays import to_array, to_json
from service.wire.json_object import parse_object, require_list, require_string
from service.wire.json_text import kind_of
from service.wire.json_writer import LongArray
from service.wire.long_list import LongList
from service.wire.tensors import validate_row_counts, validate_tensor
from service.wire.v2_binary import not_utf8

SIGNATURE = "serving_default"
"""Name of the only signature that a model has."""

_BYTES_SUFFIX = "_bytes"
"""Outputs whose names end so are written in base64."""


class PredictRequest(NamedTuple):
    """A validated request.

    Attributes:
        inputs: every input of the model, by name.
        rows: how many rows the request has, and so the response; None for a request in columns.
    """

    inputs: Mapping[str, Array]
    rows: int | None


def decode(
    body: bytes,
    inputs: Sequence[TensorSpec],
    *,
    finite: bool = True,
    batched: bool = True,
    read_images: ReadImages | None = None,
) -> PredictRequest:
    """Decode and validate a request for a model with these inputs.

    `instances` is a list of rows: the values themselves for a model with one input, or an object with the value of each
    input by name. `inputs` has the values of all rows: those of the one input, or an object by name.

    Args:
        body: the whole body.
        inputs: of the model.
        finite: whether NaN and infinities are refused.
        batched: whether the first axis of every tensor is the batch.
        read_images: reads base64 that is sent to an input of numbers; None if it is refused.

    Raises:
        InvalidInput: anything about the request is wrong; the field says what.
    """
    request = parse_object(body)
    require_signature(request)
    by_row = "instances" in request
    if by_row == ("inputs" in request):
        raise InvalidInput("expected either 'instances' or 'inputs'", "body")
    columns = _columns_of_rows(request["instances"], inputs) if by_row else _columns(request["inputs"], inputs)
    arrays: dict[str, Array] = {}
    for spec in inputs:
        field, data = columns[spec.name]
        if read_images is not None and spec.datatype != "BYTES" and (given := _base64_objects(data)):
            array = read_images(len(given), _files(given, field), field)
        else:
            array = _array(data, spec, field, finite=finite)
        validate_tensor(array.shape, spec.datatype, spec, field)
        arrays[spec.name] = array
    if batched:
        validate_row_counts(arrays, inputs)
    if not by_row:
        return PredictRequest(arrays, None)
    rows = request["instances"]
    return PredictRequest(arrays, len(arrays[inputs[0].name] if isinstance(rows, LongList) else rows))


def encode(request: PredictRequest, outputs: Mapping[str, Array]) -> bytes:
    """Encode the response: `predictions` row by row, or `outputs` in columns; by name if there are several outputs.

    Raises:
        InvalidInput: the request has rows, and an output has not as many.
    """
    columns = {name: _values(name, array) for name, array in outputs.items()}
    if request.rows is None:
        return _dump({"outputs": columns if len(columns) > 1 else next(iter(columns.values()))})
    for name, array in outputs.items():
        if array.shape[:1] != (request.rows,):
            raise InvalidInput(
                f"output '{name}' of shape {list(array.shape)} is not made of {request.rows} rows: send 'inputs'",
                "instances",
            )
    if len(columns) == 1:
        return _dump({"predictions": next(iter(columns.values()))})
    values = (column.array if isinstance(column, LongArray) else column for column in columns.values())
    rows = zip(*values, strict=True)
    return _dump({"predictions": [dict(zip(columns, row, strict=True)) for row in rows]})


def _dump(body: Mapping[str, Any]) -> bytes:
    return json_writer.dumps(body)


def _values(name: str, array: Array) -> Any:
    """What orjson can write of an output."""
    if array.dtype.kind == "O" and name.endswith(_BYTES_SUFFIX):
        return _to_base64(array.tolist())
    return to_json(array) if array.ndim else to_json(array.reshape(1))[0]


def _to_base64(values: Any) -> Any:
    if isinstance(values, list):
        return [_to_base64(value) for value in values]
    return {BASE64_MEMBER: b64encode(values.encode()).decode()}


def _array(data: Any, spec: TensorSpec, field: str, *, finite: bool) -> Array:
    # A scalar is read as the only value of a list.
    array = read_values(data if spec.shape else [data], spec.datatype, field, finite=finite)
    return array if spec.shape else array.reshape(array.shape[1:])


def read_values(values: Any, datatype: Datatype, field: str, *, finite: bool) -> Array:
    """Nested lists to an array of the same nesting. Objects with base64 are text.

    Raises:
        InvalidInput: as `json_arrays.to_array`.
    """
    if datatype == "BYTES" and isinstance(values, list):
        _decode_base64(values, field)
    return to_array(values, datatype, field, finite=finite)


def require_signature(request: Mapping[str, Any], *names: str) -> None:
    """Check that a request asks for the signature that a model has: `serving_default`, or one of these names.

    Raises:
        InvalidInput: it asks for another one.
    """
    name = require_string(request.get("signature_name", SIGNATURE), "signature_name")
    if name not in ("", SIGNATURE, *names):
        raise InvalidInput(f"got '{name}', expected '{SIGNATURE}', the only one of a model", "signature_name")


def _decode_base64(values: list[Any], field: str) -> None:
    """Replace objects that stand for bytes, at any depth, by their text."""
    lists = [values]
    while lists:
        level = lists.pop()
        for position, value in enumerate(level):
            if isinstance(value, list):
                lists.append(value)
            elif is_base64(value):
                level[position] = _text(value[BASE64_MEMBER], field)


def is_base64(value: object) -> bool:
    """Whether a value is an object that stands for bytes."""
    return isinstance(value, dict) and value.keys() == {BASE64_MEMBER}


def _base64_objects(data: Any) -> list[Any]:
    """The list of images that the values of an input are, as the first of them shows; empty if they are none."""
    given = [data] if is_base64(data) else data
    return given if isinstance(given, list) and given and is_base64(given[0]) else []


def _files(given: Sequence[Any], field: str) -> Iterator[File]:
    for index, value in enumerate(given):
        place = f"{field}[{index}]"
        if not is_base64(value):
            raise InvalidInput(f"expected an object with '{BASE64_MEMBER}', as the first value", place)
        yield place, read_base64(value[BASE64_MEMBER], place)


def read_base64(value: object, field: str) -> bytes:
    """The bytes that base64 stands for.

    Raises:
        InvalidInput: it is not base64.
    """
    try:
        return b64decode(require_string(value, f"{field}.{BASE64_MEMBER}"), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput("not valid base64", f"{field}.{BASE64_MEMBER}") from None


def _text(value: object, field: str) -> str:
    try:
        return read_base64(value, field).decode()
    except UnicodeDecodeError as error:
        raise not_utf8(error, f"{field}.{BASE64_MEMBER}") from None


def _columns_of_rows(given: Any, specs: Sequence[TensorSpec]) -> dict[str, tuple[str, Any]]:
    """The values of each input in all rows, with the field that they came from."""
    if isinstance(given, LongList):
        _require_single(specs, "no object", "instances[0]")
        return {specs[0].name: ("instances", given)}
    instances = require_list(given, "instances")
    if not instances:
        raise InvalidInput("got an empty list, expected at least one row", "instances")
    if not _names_inputs(instances[0]):
        _require_single(specs, _describe(instances[0]), "instances[0]")
        return {specs[0].name: ("instances", instances)}
    names = {spec.name for spec in specs}
    for position, row in enumerate(instances):
        if not isinstance(row, dict) or set(row) != names:
            raise _unnamed(specs, _describe(row), f"instances[{position}]")
    return {name: (f"instances[*].{name}", [row[name] for row in instances]) for name in names}


def _columns(given: Any, specs: Sequence[TensorSpec]) -> dict[str, tuple[str, Any]]:
    """The values of each input, with the field that they came from."""
    if not _names_inputs(given):
        _require_single(specs, _describe(given), "inputs")
        return {specs[0].name: ("inputs", given)}
    names = {spec.name for spec in specs}
    if set(given) != names:
        raise InvalidInput(f"got {sorted(given)}, expected exactly {sorted(names)}", "inputs")
    return {name: (f"inputs.{name}", given[name]) for name in names}


def _names_inputs(value: object) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def _require_single(specs: Sequence[TensorSpec], given: str, field: str) -> None:
    if len(specs) > 1:
        raise _unnamed(specs, given, field)


def _unnamed(specs: Sequence[TensorSpec], given: str, field: str) -> InvalidInput:
    return InvalidInput(f"got {given}, expected an object with exactly {sorted(spec.name for spec in specs)}", field)


def _describe(value: object) -> str:
    """What a value is, with the names of its members if it is an object."""
    return str(sorted(value)) if isinstance(value, dict) else kind_of(value)
