"""Numbers from JSON text to arrays, without a Python object for each of them.

This is a fast path only: whatever it is not sure about, it leaves to others, which decide what is valid and write the
error messages. Float32 whose shape is known are read by `number_reader`, which is built where there is a C compiler;
others by simdjson, where it has a wheel. simdjson's buffers ignore nesting, so that is checked here: the lengths of all
inner lists, and that the text has no more brackets than the shape explains.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from math import prod
from typing import Any, NamedTuple

import numpy as np

from models.datatypes import Array, Datatype, to_numpy

FAST = find_spec("simdjson") is not None
"""It has no wheel for the newest Python."""

if FAST:
    import simdjson

HAS_READER = find_spec("service.wire.number_reader") is not None
"""It is built when Denge is installed, if there is a C compiler."""

if HAS_READER:
    from service.wire import number_reader


class _Plan(NamedTuple):
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


def parse_numbers(text: memoryview, datatype: str, shape: Sequence[int] | None = None) -> Array | None:
    """A list of numbers as an array; None if it cannot be read fast and with certainty.

    Args:
        text: the list in JSON.
        datatype: of the array.
        shape: of the array, which must be the nesting of the list. None for the shape (n,), however the list nests.
    """
    if shape is not None and (array := read_regular(text, datatype, shape)) is not None:
        return array
    if not FAST or datatype not in _PLANS:
        return None
    nested = shape is not None and len(shape) > 1
    if nested and count_brackets(text) != brackets(shape or ()):  # before the parser makes an object of each list
        return None
    parser = parsers.acquire()
    try:
        array = to_array(parser.parse(text), datatype) if nested else _numbers(parser.parse(text), datatype)
    except (ValueError, TypeError, RuntimeError, LookupError, FloatingPointError):
        return None
    parsers.release(parser)
    return array if shape is None or array.shape == tuple(shape) else None


def read_regular(text: memoryview, datatype: str, shape: Sequence[int]) -> Array | None:
    """Lists of numbers as an array of their shape; None if they cannot be read with certainty, or without a C compiler.

    Other threads can run in the meantime if the text is long.

    Args:
        text: the lists in JSON, from the first bracket to the last.
        datatype: of the array. Only FP32 is read.
        shape: of the array, which must be the nesting of the lists.
    """
    # A number and what follows it take two bytes.
    if not HAS_READER or datatype != "FP32" or 2 * prod(shape) > len(text):
        return None
    array = np.empty(shape, np.float32)
    return array if number_reader.read_float32(text, array, tuple(shape)) else None


def to_array(data: Any, datatype: str) -> Array:
    """A parser's list as an array of the same nesting, but for brackets that simdjson's buffers ignore.

    Raises:
        ValueError, TypeError, RuntimeError, LookupError, FloatingPointError: it cannot be read with certainty.
    """
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


def count_brackets(text: bytes | memoryview) -> int:
    """Opening brackets in a text."""
    if len(text) < _MIN_NUMPY_BYTES:
        return bytes(text).count(b"[")
    return int(np.count_nonzero(np.frombuffer(text, dtype=np.uint8) == ord("[")))


def brackets(shape: Sequence[int]) -> int:
    """Opening brackets of nested lists of this shape."""
    return sum(prod(shape[:depth]) for depth in range(len(shape)))
