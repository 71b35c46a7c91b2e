"""Nested JSON lists to arrays, strictly, and arrays to what orjson writes."""

from collections.abc import Sequence
from itertools import chain
from math import prod
from typing import Any

import numpy as np

from models.datatypes import Array, Datatype, to_numpy
from models.errors import InvalidInput
from service.wire.json_object import require_list
from service.wire.json_values import convert
from service.wire.json_writer import set_aside
from service.wire.long_list import MAX_RANK, LongList


def to_array(data: Any, datatype: Datatype, field: str, *, finite: bool = True) -> Array:
    """Nested lists to an array of the same nesting.

    Args:
        data: lists of lists of values, all lists of one level equally long; or what was made of them: an array, or a
            `LongList`.
        datatype: what the values must be.
        field: where the data stands in the request, for the error.
        finite: whether NaN and infinities are refused; if they are accepted, null is NaN.

    Raises:
        InvalidInput: the data is not a list, is ragged, or holds a value that the type cannot take exactly (integers,
            strings), within its range (all numbers), or as a number at all (NaN and infinities).
    """
    if isinstance(data, np.ndarray):
        if data.dtype != to_numpy(datatype):
            raise InvalidInput(f"got {data.dtype}, expected {datatype}", field)
        return data
    if isinstance(data, LongList):
        return data.read(datatype, field, finite=finite)
    dims: list[int] = []
    level: list[Any] = [require_list(data, field)]
    while True:
        kinds = set(map(type, level))
        if list not in kinds:
            break
        lengths = set(map(len, level)) if len(kinds) == 1 else set()
        if len(lengths) != 1:
            raise InvalidInput(
                f"got lists that differ in length or kind at depth {len(dims)}, expected lists of one length and kind",
                field,
            )
        if len(dims) == MAX_RANK:
            raise InvalidInput(f"got lists that nest deeper, expected at most {MAX_RANK} levels", field)
        dims.append(lengths.pop())
        level = list(chain.from_iterable(level))
    return convert(level, datatype, field, finite=finite).reshape(dims)


def match_shape(array: Array, shape: Sequence[int], field: str) -> Array:
    """The array in the shape that was declared: it has that nesting, or is flat in row-major order.

    Nesting says nothing about the axes behind an empty one: ``[[], []]`` has any shape (2, 0, ...).

    Raises:
        InvalidInput: it is neither.
    """
    if array.shape == tuple(shape):
        return array
    nested = tuple(shape[: array.ndim]) == array.shape
    if array.size == prod(shape) and (array.ndim == 1 or nested):
        return array.reshape(shape)
    if array.ndim == 1:
        raise InvalidInput(f"got {array.size} values, expected {prod(shape)} for the shape {list(shape)}", field)
    raise InvalidInput(f"got shape {list(array.shape)}, expected the declared shape {list(shape)}", field)


def to_json(array: Array) -> Any:
    """What `json_writer` writes of a tensor: nested lists of strings, or numbers of a type it knows."""
    match array.dtype.kind:
        case "O":
            return array.tolist()
        case "V":  # bfloat16
            return set_aside(array.astype(np.float32))
        case _:
            return set_aside(array)
