"""Values with arrays to JSON, long arrays in pieces: one call of the serializer keeps other threads waiting."""

from collections.abc import Iterator
from math import prod
from secrets import token_hex
from typing import Any

import orjson

from models.datatypes import Array
from service.wire.pieces import PIECE_BYTES

_MAX_NUMBERS = PIECE_BYTES // 8
"""In one piece."""


class LongArray:
    """An array that is written in pieces.

    Args:
        array: of numbers, C-contiguous.
    """

    def __init__(self, array: Array) -> None:
        self.array = array


def set_aside(array: Array) -> Array | LongArray:
    """The array, to be written in pieces if it is long."""
    return array if array.size <= _MAX_NUMBERS else LongArray(array)


def dumps(value: Any) -> bytes:
    """The JSON of a value with arrays, and with `LongArray`s anywhere in it. NaN and infinities are null."""
    token = ""
    long: list[Array] = []

    def replace(item: object) -> str:
        nonlocal token
        if not isinstance(item, LongArray):
            raise TypeError(type(item).__name__)
        long.append(item.array)
        token = token or token_hex(8)  # in no client's text
        return token

    text = orjson.dumps(value, default=replace, option=orjson.OPT_SERIALIZE_NUMPY)
    if not long:
        return text
    parts: list[bytes] = []
    for before, array in zip(text.split(f'"{token}"'.encode()), (*long, None), strict=True):
        parts.append(before)
        if array is not None:
            parts += _pieces(array)
    return b"".join(parts)


def _pieces(array: Array) -> Iterator[bytes]:
    row = prod(array.shape[1:])
    rows = max(1, _MAX_NUMBERS // max(1, row))
    yield b"["
    for start in range(0, len(array), rows):
        if start:
            yield b","
        part = array[start : start + rows]
        if row > _MAX_NUMBERS and array.ndim > 1:
            yield from _pieces(part[0])
        else:
            yield orjson.dumps(part, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
    yield b"]"
