"""JSON text to objects, and nested lists to arrays, strictly: what is not exactly a value of the type is an error."""

import json
from collections.abc import Sequence
from itertools import chain
from math import isinf, prod
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from models.datatypes import FLOATING, Datatype, to_numpy
from models.errors import InvalidInput

Array = NDArray[Any]

_MAX_RANK = 32
_LEAVES: dict[Datatype, set[type]] = {"BOOL": {bool}, "BYTES": {str}, **{name: {int, float} for name in FLOATING}}
_LEAF_NAMES = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    dict: "an object",
}


def parse_object(body: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        InvalidInput: the body is not JSON, nests too deep, or is not an object.
    """
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        parsed = _with_nan_tokens(body, error)
    if not isinstance(parsed, dict):
        raise InvalidInput("must be a JSON object", "body")
    return parsed


def to_array(data: Any, datatype: Datatype, field: str, *, finite: bool = True) -> Array:
    """Nested lists to an array of the same nesting.

    Args:
        data: lists of lists of values, all lists of one level equally long; or an array that was made of them.
        datatype: what the values must be.
        field: where the data stands in the request, for the error.
        finite: whether NaN and infinities are refused; where they are not, null is NaN.

    Raises:
        InvalidInput: the data is not a list, is ragged, or holds a value that the type cannot take exactly (integers,
            strings), within its range (all numbers), or as a number at all (NaN and infinities).
    """
    if isinstance(data, np.ndarray):
        if data.dtype != to_numpy(datatype):
            raise InvalidInput(f"is {data.dtype}, not {datatype}", field)
        return data
    if not isinstance(data, list):
        raise InvalidInput("must be a list", field)
    dims: list[int] = []
    level: list[Any] = [data]
    while True:
        kinds = set(map(type, level))
        if list not in kinds:
            break
        lengths = set(map(len, level)) if len(kinds) == 1 else set()
        if len(lengths) != 1:
            raise InvalidInput(f"is ragged: the lists at depth {len(dims)} differ in length or kind", field)
        if len(dims) == _MAX_RANK:
            raise InvalidInput(f"nests deeper than {_MAX_RANK} levels", field)
        dims.append(lengths.pop())
        level = list(chain.from_iterable(level))
    _check_kinds(level, kinds, datatype, field, finite=finite)
    array = _convert(level, datatype, field)
    if finite:
        require_finite(array, field)
    return array.reshape(dims)


def match_shape(array: Array, shape: Sequence[int], field: str) -> Array:
    """The array in the shape that was declared: it has that nesting, or is flat in row-major order.

    Nesting says nothing of the axes behind an empty one: ``[[], []]`` is any of shape (2, 0, ...).

    Raises:
        InvalidInput: it is neither.
    """
    if array.shape == tuple(shape):
        return array
    nested = tuple(shape[: array.ndim]) == array.shape
    if array.size == prod(shape) and (array.ndim == 1 or nested):
        return array.reshape(shape)
    if array.ndim == 1:
        raise InvalidInput(f"has {array.size} values, but shape {list(shape)} takes {prod(shape)}", field)
    raise InvalidInput(f"has shape {list(array.shape)}, but shape {list(shape)} was declared", field)


def writable(array: Array) -> Any:
    """What orjson writes of a tensor: the array itself, nested lists of strings, or numbers of a type that it knows."""
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
        raise InvalidInput(f"{array.reshape(-1)[index]} is not a finite {array.dtype} number", f"{field}[{index}]")


def _with_nan_tokens(body: bytes, error: orjson.JSONDecodeError) -> Any:
    # Python clients write bare NaN and Infinity, which JSON does not have. Where these are refused, the error can then
    # name the value.
    if b"NaN" in body or b"Infinity" in body:
        try:
            parsed = json.loads(body, parse_float=_finite)
            if b"\\u" in body:
                json.dumps(parsed, ensure_ascii=False).encode()  # fails on half a surrogate pair, as orjson does
        except (ValueError, RecursionError):
            pass
        else:
            return parsed
    raise InvalidInput(f"is not valid JSON: {error}", "body") from error


def _finite(text: str) -> float:
    value = float(text)
    if isinf(value):
        raise ValueError("beyond the largest number")
    return value


def _check_kinds(leaves: list[Any], kinds: set[type], datatype: Datatype, field: str, *, finite: bool) -> None:
    allowed = _LEAVES.get(datatype, {int})
    if not finite and datatype in FLOATING:
        allowed = {*allowed, type(None)}
    if wrong := kinds - allowed:
        index = next(i for i, leaf in enumerate(leaves) if type(leaf) in wrong)
        leaf = leaves[index]
        shown = repr(leaf) if isinstance(leaf, float) else _LEAF_NAMES[type(leaf)]
        raise InvalidInput(f"{shown} where {datatype} is expected", f"{field}[{index}]")


def _convert(leaves: list[Any], datatype: Datatype, field: str) -> Array:
    dtype = to_numpy(datatype)
    try:
        if datatype not in FLOATING:
            return np.array(leaves, dtype=dtype)
        wide = np.array(leaves, dtype=np.float64)  # null becomes NaN
    except OverflowError:
        limits = np.finfo(np.float64) if datatype in FLOATING else np.iinfo(dtype)
        bad = next(i for i, leaf in enumerate(leaves) if type(leaf) is int and not limits.min <= leaf <= limits.max)
        raise InvalidInput(f"{leaves[bad]} is out of the range of {datatype}", f"{field}[{bad}]") from None
    with np.errstate(over="ignore"):
        array = wide.astype(dtype, copy=False)
    beyond = np.isinf(array) & np.isfinite(wide)
    if beyond.any():
        bad = int(np.flatnonzero(beyond)[0])
        raise InvalidInput(f"{leaves[bad]} is out of the range of {datatype}", f"{field}[{bad}]")
    return array
