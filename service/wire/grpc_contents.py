"""Typed contents of tensors in gRPC messages: repeated fields, one for each kind of numbers, and arrays.

Floating-point numbers are views of the message. Integers have to be unpacked and texts decoded, one by one, so only so
many bytes of them are read; raw contents have no such limit.
"""

from collections.abc import Sequence
from math import prod

import numpy as np

from models.datatypes import Array, from_numpy
from models.errors import InvalidInput, TooLarge
from service.wire import protobuf
from service.wire.json_values import require_finite
from service.wire.protobuf import BYTES, FIXED32, FIXED64, VARINT, Field
from service.wire.v2_binary import decode_text

MAX_UNPACKED_BYTES = 16 << 20
"""Largest contents of integers or texts, which take up to 16 times as much memory as an array."""

_FIELDS = (
    "bool_contents",
    "int_contents",
    "int64_contents",
    "uint_contents",
    "uint64_contents",
    "fp32_contents",
    "fp64_contents",
    "bytes_contents",
)
"""In the order of their numbers, from 1."""

_FIELD_OF: dict[str, str] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""By datatype. FP16 and BF16 have no contents but raw ones."""

_FIXED = {"fp32_contents": FIXED32, "fp64_contents": FIXED64}
_RAW_ONLY = "{datatype} has no typed contents: send raw_input_contents"


def decode(
    contents: memoryview, datatype: str, shape: Sequence[int], place: str, *, finite: bool, as_text: bool = True
) -> Array:
    """The elements of a tensor, shape (n,).

    Args:
        contents: the message.
        datatype: of the tensor.
        shape: of the tensor, which says how many elements are read at most.
        place: of the contents in the request, for errors.
        finite: whether NaN and infinities are refused.
        as_text: whether BYTES are text, `str`. If not, they are `bytes`.

    Raises:
        InvalidInput: the contents are in a field of another datatype, or hold a number that the datatype cannot.
        TooLarge: too many integers or texts.
    """
    name = _FIELD_OF.get(datatype)
    if name is None:
        raise InvalidInput(_RAW_ONLY.format(datatype=datatype), place)
    if name not in _FIXED and len(contents) > MAX_UNPACKED_BYTES:
        raise TooLarge(
            f"got {len(contents)} bytes, at most {MAX_UNPACKED_BYTES} of {datatype} are read: send raw_input_contents",
            place,
        )
    most = prod(shape) + 1 if name == "bytes_contents" else protobuf.MAX_FIELDS
    given = protobuf.fields(contents, place, max(most, 1))
    for field in given:
        if 0 < field.number <= len(_FIELDS) and _FIELDS[field.number - 1] != name:
            raise InvalidInput(f"got {_FIELDS[field.number - 1]}, {datatype} takes {name}", place)
    known = [field for field in given if field.number == _FIELDS.index(name) + 1]
    place = f"{place}.{name}"
    if name == "bytes_contents":
        return _elements(known, place, as_text=as_text)
    dtype = np.dtype(datatype.lower().replace("fp", "float"))
    if name not in _FIXED:
        return _integers(known, dtype, place)
    array = _fixed(known, _FIXED[name], dtype, place)
    if finite:
        require_finite(array, place)
    return array


def encode(array: Array) -> bytes:
    """The message with the elements of a tensor.

    Raises:
        KeyError: the datatype has no typed contents.
    """
    name = _FIELD_OF[from_numpy(array.dtype)]
    number = _FIELDS.index(name) + 1
    elements = array.reshape(-1)
    if name == "bytes_contents":
        return b"".join(protobuf.encode_bytes(number, text.encode()) for text in elements)
    if name in _FIXED:
        packed = elements.astype(elements.dtype.newbyteorder("<"), copy=False).tobytes()
    else:
        packed = b"".join(map(protobuf.encode_varint, elements.tolist()))
    return protobuf.encode_bytes(number, packed)


def has_typed(datatype: str) -> bool:
    """Whether tensors of a datatype have typed contents."""
    return datatype in _FIELD_OF


def _elements(given: Sequence[Field], place: str, *, as_text: bool) -> Array:
    elements = np.empty(len(given), dtype=object)
    for index, field in enumerate(given):
        raw = protobuf.message(field, f"{place}[{index}]")
        elements[index] = decode_text(raw, f"{place}[{index}]") if as_text else bytes(raw)
    return elements


def _fixed(given: Sequence[Field], kind: int, dtype: np.dtype, place: str) -> Array:
    parts = []
    for field in given:
        if field.kind not in {kind, BYTES} or len(field.raw) % dtype.itemsize:
            raise InvalidInput(f"got wire type {field.kind} of {len(field.raw)} bytes, expected packed {dtype}", place)
        parts.append(np.frombuffer(field.raw, dtype.newbyteorder("<")))
    return _joined(parts, dtype)


def _integers(given: Sequence[Field], dtype: np.dtype, place: str) -> Array:
    parts = []
    for field in given:
        if field.kind not in {VARINT, BYTES}:
            raise InvalidInput(f"got wire type {field.kind}, expected packed integers", place)
        single = field.kind == VARINT
        parts.append(np.array([field.value], np.uint64) if single else protobuf.unpack_varints(field.raw, place))
    values = _joined(parts, np.dtype(np.uint64))
    if dtype.kind == "b":
        return values.astype(bool)
    limits = np.iinfo(dtype)
    numbers = values.view(np.int64) if limits.min else values
    beyond = numbers > limits.max
    if limits.min:
        beyond |= numbers < limits.min
    if beyond.any():
        index = int(np.flatnonzero(beyond)[0])
        raise InvalidInput(f"got {numbers[index]}, expected a number in the range of {dtype}", f"{place}[{index}]")
    return numbers.astype(dtype)


def _joined(parts: Sequence[Array], dtype: np.dtype) -> Array:
    if len(parts) == 1:
        return parts[0].astype(dtype, copy=False)
    return np.concatenate([np.empty(0, dtype), *parts]).astype(dtype, copy=False)
