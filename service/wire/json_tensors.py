"""Tensors in JSON, from text to array without a Python object for each number, if simdjson is installed.

This is a fast path only: whatever it is not sure about, it leaves to `json_object` and `json_arrays`, which decide what
is valid and write the error messages. simdjson's buffers ignore nesting, so that is checked here: the lengths of all
inner lists, and that the text has no more brackets than the shape explains.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from math import prod
from typing import Any

import numpy as np
import orjson

from models.datatypes import Array, Datatype, to_numpy
from service.wire.json_object import parse_object

FAST = find_spec("simdjson") is not None
"""It has no wheel for the newest Python."""

if FAST:
    import simdjson


@dataclass(frozen=True)
class _Plan:
    """How the numbers of a datatype are read.

    Attributes:
        buffer: kind of simdjson's buffer.
        wide: what is in the buffer.
        dtype: of the array.
    """

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

_MIN_NUMPY_BYTES = 1 << 14
"""From this length on, numpy counts bytes faster than Python does."""


class ParserPool:
    """Idle parsers. Each keeps its memory from one document to the next. Safe to use from several threads."""

    def __init__(self) -> None:
        self._idle: list[Any] = []  # appending and popping are atomic

    def __len__(self) -> int:
        """How many parsers are idle."""
        return len(self._idle)

    def acquire(self) -> Any:
        """A parser that nothing else uses. It is dropped unless it is released."""
        return self._idle.pop() if self._idle else simdjson.Parser()

    def release(self, parser: Any) -> None:
        """Put a parser back. Not after an error, which may still hold on to the parser's document."""
        self._idle.append(parser)


parsers = ParserPool()


def parse_request(body: bytes) -> dict[str, Any]:
    """A JSON object whose `inputs[*].data` are arrays if they could be read fast and with certainty.

    Raises:
        InvalidInput: as `json_object.parse_object`.
    """
    if not FAST:
        return parse_object(body)
    parser = parsers.acquire()
    try:
        request = _parse(parser, body)
    except (ValueError, TypeError, RuntimeError, LookupError, AttributeError, FloatingPointError):
        return parse_object(body)
    parsers.release(parser)
    return request


def parse_numbers(text: memoryview, datatype: str, *, nested: bool) -> Array | None:
    """A list of numbers as an array; None if it cannot be read fast and with certainty.

    Args:
        text: the list in JSON.
        datatype: of the array.
        nested: whether the list may have lists in it, all of one depth equally long. If not, the text has no closing
            bracket but the last.
    """
    if not FAST or datatype not in _PLANS:
        return None
    parser = parsers.acquire()
    try:
        array = _array(parser.parse(text), datatype) if nested else _numbers(parser.parse(text), datatype)
    except (ValueError, TypeError, RuntimeError, LookupError, FloatingPointError):
        return None
    parsers.release(parser)
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
    """All numbers of a list, however they are nested, shape (n,)."""
    plan = _PLANS[datatype]
    values = np.frombuffer(data.as_buffer(of_type=plan.buffer), dtype=plan.wide)
    # JSON has no infinity, so only a number beyond the range of the type can become one.
    with np.errstate(over="raise"):
        array = values.astype(plan.dtype, copy=False)
    if plan.dtype.kind != "f" and not np.array_equal(array, values):
        raise ValueError("out of range")
    return array


def _dims(data: Any) -> list[int]:
    """Lengths of the lists at each depth. All lists of one depth are equally long."""
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
    """Writes an array as null, which has no brackets."""


def _count_brackets(body: bytes) -> int:
    if len(body) < _MIN_NUMPY_BYTES:
        return body.count(b"[")
    return int(np.count_nonzero(np.frombuffer(body, dtype=np.uint8) == ord("[")))


def _brackets(array: Array) -> int:
    """Opening brackets of nested lists of this shape."""
    return 1 if array.ndim == 1 else sum(prod(array.shape[:depth]) for depth in range(array.ndim))
