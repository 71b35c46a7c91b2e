"""Tensors in JSON, from the text to an array without a Python object a number, where simdjson is installed.

A fast path and nothing else: whatever it is not sure of, it leaves to `json_values`, which has the last word on what is
right and the words for what is wrong. simdjson's buffers pass over nesting, so that is checked here: the lengths of all
inner lists, and that the text has no bracket more than the shape explains.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from math import prod
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from models.datatypes import Datatype, to_numpy
from service.wire.json_values import parse_object

FAST = find_spec("simdjson") is not None
"""There is no wheel of it for the newest Python."""

if FAST:
    import simdjson

Array = NDArray[Any]


@dataclass(frozen=True)
class _Plan:
    """How the numbers of a datatype are read: the kind of simdjson's buffer, what is in it, and what they become."""

    buffer: str
    wide: np.dtype[Any]
    dtype: np.dtype[Any]


_BUFFERS: dict[tuple[Datatype, ...], tuple[str, np.dtype[Any]]] = {
    ("FP16", "FP32", "FP64"): ("d", np.dtype(np.float64)),
    ("INT8", "INT16", "INT32", "INT64"): ("i", np.dtype(np.int64)),
    ("UINT8", "UINT16", "UINT32", "UINT64"): ("u", np.dtype(np.uint64)),
}
_PLANS: dict[str, _Plan] = {
    datatype: _Plan(*buffer, to_numpy(datatype)) for datatypes, buffer in _BUFFERS.items() for datatype in datatypes
}

_LONG = 1 << 14
"""From this length on numpy counts bytes faster than Python does."""

# A parser keeps its memory from one document to the next. Taking it out and putting it back are atomic.
_parsers: list[Any] = []


def parse_request(body: bytes) -> dict[str, Any]:
    """A JSON object whose `inputs[*].data` are arrays already, where that could be done fast and for certain.

    Raises:
        InvalidInput: as `json_values.parse_object`.
    """
    if not FAST:
        return parse_object(body)
    parser = _parsers.pop() if _parsers else simdjson.Parser()
    try:
        request = _parse(parser, body)
    except (ValueError, TypeError, RuntimeError, LookupError, AttributeError, FloatingPointError):
        # Not put back: the error may still hold on to the parser's document.
        return parse_object(body)
    _parsers.append(parser)
    return request


def parse_numbers(text: memoryview, datatype: str, *, nested: bool) -> Array | None:
    """A list of numbers, where it can be read fast and for certain.

    Args:
        text: as JSON.
        datatype: what the numbers must be.
        nested: whether there may be lists in the list, all of a depth being equally long. Else there is no closing
            bracket but the last.
    """
    if not FAST or datatype not in _PLANS:
        return None
    parser = _parsers.pop() if _parsers else simdjson.Parser()
    try:
        array = _array(parser.parse(text), datatype) if nested else _numbers(parser.parse(text), datatype)
    except (ValueError, TypeError, RuntimeError, LookupError, FloatingPointError):
        return None
    _parsers.append(parser)
    return array if not nested or _count_brackets(bytes(text)) == _brackets(array) else None


def _parse(parser: Any, body: bytes) -> dict[str, Any]:
    arrays: list[Array] = []
    request = {}
    document = parser.parse(body)
    for key in document.keys():  # noqa: SIM118 - `items` would turn everything into Python objects
        value = document[key]
        request[key] = [_tensor(tensor, arrays) for tensor in value] if key == "inputs" else _plain(value)
    explained = orjson.dumps(request, default=_no_brackets).count(b"[") + sum(map(_brackets, arrays))
    if explained != _count_brackets(body):
        raise ValueError("lists among numbers")
    return request


def _tensor(tensor: Any, arrays: list[Array]) -> dict[str, Any]:
    """The members of a tensor, its data as an array."""
    members = {key: tensor[key] if key == "data" else _plain(tensor[key]) for key in tensor.keys()}  # noqa: SIM118
    if "data" in members:
        members["data"] = _array(members["data"], members["datatype"])
        arrays.append(members["data"])
    return members


def _array(data: Any, datatype: str) -> Array:
    dims = _dims(data)
    values = _numbers(data, datatype)
    if values.size != prod(dims):
        raise ValueError("ragged")
    return values.reshape(dims)


def _numbers(data: Any, datatype: str) -> Array:
    """All numbers of a list, however they are nested."""
    plan = _PLANS[datatype]
    values = np.frombuffer(data.as_buffer(of_type=plan.buffer), dtype=plan.wide)
    # JSON has no infinity, so only a number beyond the range of the type can become one.
    with np.errstate(over="raise"):
        array = values.astype(plan.dtype, copy=False)
    if plan.dtype.kind != "f" and not np.array_equal(array, values):
        raise ValueError("out of range")
    return array


def _dims(data: Any) -> list[int]:
    """Lengths of the lists at each depth, all lists of one depth being equally long."""
    dims = [len(data)]
    level = [data]
    while dims[-1] and isinstance(level[0][0], simdjson.Array):
        level = [inner for outer in level for inner in outer]
        lengths = set(map(len, level))
        if len(lengths) != 1:
            raise ValueError("ragged")
        dims.append(lengths.pop())
    return dims


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind is simdjson.Array:
        return value.as_list()
    return value.as_dict() if kind is simdjson.Object else value


def _no_brackets(_array: Array) -> None:
    """What an array counts as among the rest of the request."""


def _count_brackets(body: bytes) -> int:
    if len(body) < _LONG:
        return body.count(b"[")
    return int(np.count_nonzero(np.frombuffer(body, dtype=np.uint8) == ord("[")))


def _brackets(array: Array) -> int:
    """Opening brackets of nested lists of this shape."""
    return 1 if array.ndim == 1 else sum(prod(array.shape[:depth]) for depth in range(array.ndim))
