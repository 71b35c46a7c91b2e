"""Requests with tensors in JSON, from text to arrays without a Python object for each number, if simdjson is installed.

This is a fast path only: whatever it is not sure about, it leaves to `json_object` and `json_arrays`, which decide what
is valid and write the error messages.
"""

from typing import Any

import orjson

from models.datatypes import Array
from service.wire.json_numbers import FAST, brackets, count_brackets, parsers, to_array
from service.wire.json_object import parse_object
from service.wire.pieces import INLINE_BYTES

if FAST:
    import simdjson

_MAX_MEMBERS = 16
_MAX_TENSORS = 256
_MAX_LISTS = 1 << 12
"""Of any depth in the whole text: each becomes a Python object, and so do the values of those that hold no tensor."""
_MAX_VALUES = 1 << 12
"""Of a list or an object that holds no tensor."""


def parse_request(body: bytes) -> dict[str, Any]:
    """A JSON object whose `inputs[*].data` are arrays if they could be read fast and with certainty, or `LongList`s.

    Raises:
        InvalidInput: as `json_object.parse_object`.
    """
    if not FAST or len(body) > INLINE_BYTES:
        return parse_object(body)
    parser = parsers.acquire()
    try:
        request = _parse(parser, body)
    except (ValueError, TypeError, RuntimeError, LookupError, AttributeError, FloatingPointError):
        return parse_object(body)
    parsers.release(parser)
    return request


def _parse(parser: Any, body: bytes) -> dict[str, Any]:
    lists = count_brackets(body)
    if lists > _MAX_LISTS:
        raise ValueError("too many lists")
    arrays: list[Array] = []
    request = {}
    document = parser.parse(body)
    for key in _keys(document):
        value = document[key]
        request[key] = _tensors(value, arrays) if key == "inputs" else _plain(value)
    explained = orjson.dumps(request, default=_no_brackets).count(b"[") + sum(brackets(array.shape) for array in arrays)
    if explained != lists:
        raise ValueError("lists among numbers")
    return request


def _tensors(tensors: Any, arrays: list[Array]) -> list[dict[str, Any]]:
    if len(tensors) > _MAX_TENSORS:
        raise LookupError("too many tensors")
    return [_tensor(tensor, arrays) for tensor in tensors]


def _tensor(tensor: Any, arrays: list[Array]) -> dict[str, Any]:
    """The members of a tensor, its data as an array."""
    members = {key: tensor[key] if key == "data" else _plain(tensor[key]) for key in _keys(tensor)}
    if "data" in members:
        members["data"] = to_array(members["data"], members["datatype"])
        arrays.append(members["data"])
    return members


def _keys(document: Any) -> list[str]:
    """Its keys. `items` would turn everything into Python objects, and each lookup takes as long as there are keys."""
    if len(document) > _MAX_MEMBERS:
        raise LookupError("too many members")
    return list(document.keys())


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in (simdjson.Array, simdjson.Object) and len(value) > _MAX_VALUES:
        raise LookupError("too many values")
    if kind is simdjson.Array:
        return value.as_list()
    return value.as_dict() if kind is simdjson.Object else value


def _no_brackets(_array: Array) -> None:
    """Writes an array as null, which has no brackets."""
