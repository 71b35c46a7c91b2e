"""Nested JSON lists to arrays, strictly, and arrays to what orjson writes."""

from collections.abc import Sequence
from itertools import chain
from math import prod
from typing import Any

import numpy as np

from models.datatypes import FLOATING, Array, Datatype, to_numpy
from models.errors import InvalidInput
from service.wire.json_object import kind_of, require_list

_MAX_RANK = 32
_LEAVES: dict[Datatype, set[type]] = {"BOOL": {bool}, "BYTES": {str}, **{name: {int, float} for name in FLOATING}}
"""Python types of the values of a datatype; of the integers, int only."""


def to_array(data: Any, datatype: Datatype, field: str, *, finite: bool = True) -> Array:
    """Nested lists to an array of the same nesting.

    Args:
        data: lists of lists of values, all lists of one level equally long; or an array that was made of them.
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
    dims: list[int] = []
    level: list[Any] = [require_list(data, field)]
    while True:
        kinds = set(map(type, level))
        if list not in kinds:
            break
        lengths = set(map(len, level)) if len(kinds) == 1 else set()
        if len(lengths) != 1:
            raise InvalidInput(f"got lists that differ in length or kind at depth {len(dims)}, expected none", field)
        if len(dims) == _MAX_RANK:
            raise InvalidInput(f"got lists that nest deeper, expected at most {_MAX_RANK} levels", field)
        dims.append(lengths.pop())
        level = list(chain.from_iterable(level))
    _require_kinds(level, kinds, datatype, field, finite=finite)
    array = _convert(level, datatype, field)
    if finite:
        require_finite(array, field)
    return array.reshape(dims)


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
    """What orjson can write of a tensor: the array itself, nested lists of strings, or numbers of a type it knows."""
    match array.dtype.kind:
        case "O":
            return array.tolist()
        case "V":  # bfloat16
            return array.astype(np.float32)
        case _:
            return array


def require_finite(array: Array, field: str) -> None:
    """Refuse NaN and infinities, which would silently spread through the network.

    Raises:
        InvalidInput: names the first such value.
    """
    # Of kind V is bfloat16, which is not numpy's own.
    if array.dtype.kind in "fV" and not np.isfinite(array).all():
        index = int(np.flatnonzero(~np.isfinite(array))[0])
        raise InvalidInput(f"got {array.reshape(-1)[index]}, expected a finite number", f"{field}[{index}]")


def _require_kinds(leaves: list[Any], kinds: set[type], datatype: Datatype, field: str, *, finite: bool) -> None:
    allowed = _LEAVES.get(datatype, {int})
    if not finite and datatype in FLOATING:
        allowed = {*allowed, type(None)}
    if wrong := kinds - allowed:
        index = next(i for i, leaf in enumerate(leaves) if type(leaf) in wrong)
        leaf = leaves[index]
        shown = repr(leaf) if isinstance(leaf, float) else kind_of(leaf)
        raise InvalidInput(f"got {shown}, expected {datatype}", f"{field}[{index}]")


def _convert(leaves: list[Any], datatype: Datatype, field: str) -> Array:
    dtype = to_numpy(datatype)
    try:
        if datatype not in FLOATING:
            return np.array(leaves, dtype=dtype)
        wide = np.array(leaves, dtype=np.float64)  # null becomes NaN
    except OverflowError:
        limits = np.finfo(np.float64) if datatype in FLOATING else np.iinfo(dtype)
        bad = next(i for i, leaf in enumerate(leaves) if type(leaf) is int and not limits.min <= leaf <= limits.max)
        raise _out_of_range(leaves, bad, datatype, field) from None
    with np.errstate(over="ignore"):
        array = wide.astype(dtype, copy=False)
    beyond = np.isinf(array) & np.isfinite(wide)
    if beyond.any():
        raise _out_of_range(leaves, int(np.flatnonzero(beyond)[0]), datatype, field)
    return array


def _out_of_range(leaves: list[Any], index: int, datatype: Datatype, field: str) -> InvalidInput:
    return InvalidInput(f"got {leaves[index]}, expected a number in the range of {datatype}", f"{field}[{index}]")
