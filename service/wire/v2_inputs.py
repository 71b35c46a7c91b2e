"""Inputs of V2 requests: tensors in JSON, as bytes behind the JSON part, or one tensor that is the whole body."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from models.datatypes import Array
from models.errors import InvalidInput
from models.manifest import TensorSpec
from service.wire import v2_binary
from service.wire.image_reader import File, ReadImages
from service.wire.json_arrays import match_shape, to_array
from service.wire.json_object import require_integer, require_list, require_object, require_string
from service.wire.json_values import require_finite
from service.wire.tensors import validate_row_counts, validate_tensor


def decode(
    given: Any,
    raw: memoryview,
    specs: Sequence[TensorSpec],
    *,
    finite: bool,
    batched: bool,
    read_images: ReadImages | None = None,
) -> dict[str, Array]:
    """The inputs by name.

    Args:
        given: member `inputs` of the request.
        raw: the bytes behind its JSON part.
        specs: inputs of the model.
        finite: whether NaN and infinities are refused.
        batched: whether the first axis of every input is the batch.
        read_images: reads BYTES that are sent to an input of numbers; None if they are refused.

    Raises:
        InvalidInput: the inputs are not those of the model.
    """
    names = [spec.name for spec in specs]
    if given is None or given == []:
        raise InvalidInput(f"missing, expected the model's inputs {names}", "inputs")
    by_name = {spec.name: spec for spec in specs}
    arrays: dict[str, Array] = {}
    offset = 0
    for position, entry in enumerate(require_list(given, "inputs")):
        field = f"inputs[{position}]"
        tensor = require_object(entry, field)
        spec = _find_spec(tensor, by_name, field)
        if spec.name in arrays:
            raise InvalidInput(f"got '{spec.name}' twice, expected each input once", f"{field}.name")
        shape = _shape(tensor, field)
        datatype = require_string(tensor.get("datatype"), f"{field}.datatype")
        read_files = read_images if datatype == "BYTES" and spec.datatype != "BYTES" else None
        if read_files is None:
            validate_tensor(shape, datatype, spec, field)
        size = _binary_size(tensor, field)
        data = tensor["data"] if size is None else _part(raw, offset, size, field)
        if read_files is None:
            arrays[spec.name] = _array(data, spec, shape, f"{field}.data", finite=finite)
        else:
            arrays[spec.name] = read_files(*_files(data, shape, field), f"{field}.shape")
        offset += size or 0
    if missing := [name for name in names if name not in arrays]:
        raise InvalidInput(f"'{missing[0]}' is missing, expected the model's inputs {names}", "inputs")
    if offset < len(raw):
        raise InvalidInput(f"got {len(raw) - offset} bytes after the last input, expected none", "body")
    if batched:
        validate_row_counts(arrays, specs)
    return arrays


def decode_raw(raw: memoryview, specs: Sequence[TensorSpec], *, finite: bool) -> dict[str, Array]:
    """The one input of a model, which is the whole body. Its free axis follows from the size; BYTES is one element.

    Of two free axes, the first one is 1, and the other one follows from the size.

    Raises:
        InvalidInput: the model has several inputs, or one whose shape does not follow from its size.
    """
    if len(specs) != 1:
        raise InvalidInput(f"a body without a JSON part is one input, the model has {len(specs)}: send JSON", "body")
    spec = specs[0]
    if spec.datatype == "BYTES":
        if any(size not in (-1, 1) for size in spec.shape):
            raise InvalidInput(
                f"a body without a JSON part is one element, input '{spec.name}' expects {list(spec.shape)}: send JSON",
                "body",
            )
        element = np.empty([1] * len(spec.shape), dtype=object)
        element.fill(v2_binary.decode_text(raw, "body"))
        return {spec.name: element}
    # Where two axes are free and one is the batch, the body is one row.
    shape = (1, *spec.shape[1:]) if spec.shape[:1] == (-1,) and spec.shape.count(-1) == 2 else spec.shape
    if shape.count(-1) > 1:
        raise InvalidInput(
            f"the shape of input '{spec.name}', {list(spec.shape)}, does not follow from a body without a JSON part: "
            "send JSON",
            "body",
        )
    known = v2_binary.size_of(spec.datatype, [size for size in shape if size != -1])
    if -1 in shape and known and len(raw) % known:
        raise InvalidInput(
            f"got {len(raw)} bytes, expected a multiple of {known}: {spec.datatype} of shape {list(shape)}", "body"
        )
    filled = [len(raw) // max(known, 1) if size == -1 else size for size in shape]
    array = v2_binary.read(raw, spec.datatype, filled, "body")
    if finite:
        require_finite(array, "body")
    return {spec.name: array}


def _find_spec(tensor: dict[str, Any], by_name: Mapping[str, TensorSpec], field: str) -> TensorSpec:
    name = require_string(tensor.get("name"), f"{field}.name")
    if name not in by_name:
        raise InvalidInput(f"got '{name}', the model's inputs are {sorted(by_name)}", f"{field}.name")
    return by_name[name]


def _array(data: Any, spec: TensorSpec, shape: Sequence[int], field: str, *, finite: bool) -> Array:
    if not isinstance(data, memoryview):
        return match_shape(to_array(data, spec.datatype, field, finite=finite), shape, field)
    array = v2_binary.read(data, spec.datatype, shape, field)
    if finite:
        require_finite(array, field)
    return array


def _files(data: Any, shape: Sequence[int], field: str) -> tuple[int, Iterator[File]]:
    """How many images a tensor of files holds, and each of them."""
    if len(shape) not in (1, 2) or list(shape[1:]) not in ([], [1]):
        raise InvalidInput(f"got {list(shape)}, images as BYTES have the shape [n] or [n, 1]", f"{field}.shape")
    place = f"{field}.data"
    if isinstance(data, memoryview):
        elements: Iterable[memoryview | bytes] = v2_binary.elements(data, shape, place)
    elif isinstance(data, np.ndarray):  # contents of a message
        elements = match_shape(data, shape, place).reshape(-1)
    else:
        raise InvalidInput("got JSON, images as BYTES are bytes: send a binary tensor", place)
    return shape[0], ((f"{place}[{index}]", element) for index, element in enumerate(elements))


def _shape(tensor: dict[str, Any], field: str) -> list[int]:
    shape = require_list(tensor.get("shape"), f"{field}.shape")
    if not all(type(size) is int and size >= 0 for size in shape):
        raise InvalidInput("expected a list of integers of at least 0", f"{field}.shape")
    return shape


def _part(raw: memoryview, offset: int, size: int, field: str) -> memoryview:
    if offset + size > len(raw):
        raise InvalidInput(
            f"got {len(raw) - offset} bytes behind the JSON part, expected {size}",
            f"{field}.parameters.binary_data_size",
        )
    return raw[offset : offset + size]


def _binary_size(tensor: dict[str, Any], field: str) -> int | None:
    """Bytes of the tensor behind the JSON part; None if its data is in the JSON."""
    parameters = require_object(tensor.get("parameters", {}), f"{field}.parameters")
    if "shared_memory_region" in parameters:
        raise InvalidInput("shared memory is not supported: send the data", f"{field}.parameters.shared_memory_region")
    size = parameters.get("binary_data_size")
    # KServe's client sends `"data": null` beside a binary tensor without elements.
    if (tensor.get("data") is not None) == (size is not None):
        raise InvalidInput("expected either 'data' or the parameter 'binary_data_size'", field)
    return None if size is None else require_integer(size, f"{field}.parameters.binary_data_size", 0)
